import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request, type IncomingHttpHeaders, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { loadSettings } from '../src/config.js';
import { startService, type RunningService } from '../src/service.js';
import { freshDatabase } from './support/database.js';

/** What a stranger may send to the pages' port: refused in a few words, and nothing is given away. */

let database: Awaited<ReturnType<typeof freshDatabase>>;
let dataDir: string;
let service: RunningService;

beforeAll(async () => {
  database = await freshDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'hostile-http-'));
  service = await startService(
    loadSettings({
      DATABASE_URL: database.ownerUrl,
      DATA_DIR: dataDir,
      HTTP_PORT: '0',
      MQTT_PORT: '0',
      LOG_LEVEL: 'silent',
    }),
  );
}, 120_000);

afterAll(async () => {
  await service?.stop();
  await database?.drop();
  await rm(dataDir, { recursive: true });
});

const json = { 'content-type': 'application/json' };
const LOG_IN = JSON.stringify({ user: 'ash', password: 'guess' });

describe('is refused as problem details that say nothing of the inside:', () => {
  it.each([
    [
      'a body without end',
      'POST',
      '/v1/sessions',
      json,
      `{"user":"${'x'.repeat(5_000_000)}"}`,
      413,
    ],
    ['half a body', 'POST', '/v1/sessions', json, '{"user":', 400],
    ['a body that is no object', 'POST', '/v1/sessions', json, '[[[[]]]]', 400],
    ['a body 100,000 levels deep', 'POST', '/v1/sessions', json, '['.repeat(100_000), 400],
    [
      'a body in no encoding',
      'POST',
      '/v1/sessions',
      { ...json, 'content-encoding': 'x' },
      '{}',
      415,
    ],
    ['a prototype', 'POST', '/v1/sessions', json, '{"__proto__":{"user":"ash"}}', 400],
    ['a path that is no text', 'GET', '/v1/households/%E0%A4%A/balances', {}, '', 400],
    ['a path that is none', 'GET', '/v1/nothing', {}, '', 404],
    ['an id that is none', 'GET', "/v1/households/'%20OR%201=1/balances", {}, '', 401],
    ['a list where an id belongs', 'GET', '/v1/orders?household[]=a&household[]=b', {}, '', 401],
    ['a token that is none', 'GET', '/v1/orders', { authorization: 'Bearer \u00e9' }, '', 401],
  ])('%s', async (_, method, path, headers, body, status) => {
    const answer = await ask(method, path, headers, body);
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.body.length).toBeLessThan(500);
    expect(answer.body).not.toMatch(/node_modules|\.ts\b|\.js\b|SELECT|at \w+ \(/);
  });
});

it.each([
  '/%00',
  '/..%2f..%2fpackage.json',
  '/../../package.json',
  '/assets/..%5c..%5cpackage.json',
])('nothing beside the pages is served: %s', async (path) => {
  const answer = await ask('GET', path);
  // Which of them depends on whether the pages are built.
  expect([400, 403, 404]).toContain(answer.status);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
});

describe('a page of somebody else', () => {
  const foreign = { origin: 'https://evil.example' };

  it('cannot have a browser act or read in a name: there is no cookie, and no permission', async () => {
    const answer = await ask('POST', '/v1/sessions', { ...json, ...foreign }, LOG_IN);
    const asked = await ask('OPTIONS', '/v1/sessions', {
      ...foreign,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,authorization',
    });
    for (const { headers } of [answer, asked]) {
      expect(
        Object.keys(headers).filter((name) => /^access-control|^set-cookie/.test(name)),
      ).toEqual([]);
    }
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'cannot log in with what a form sends as %s',
    async (type) => {
      const answer = await ask('POST', '/v1/sessions', { 'content-type': type }, LOG_IN);
      expect(answer.status).toBe(400);
    },
  );

  it('cannot frame the pages, nor run its scripts in them', async () => {
    const { headers } = await ask('GET', '/v1/nothing');
    expect(headers['content-security-policy']).toMatch(
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff' });
    expect(headers).not.toHaveProperty('x-powered-by');
  });
});

describe('who would fill the port', () => {
  it('has a quarter-minute for the headers, two minutes for all of it, and finds so much room', () => {
    const server = service.app.getHttpServer() as Server;
    expect(server).toMatchObject({
      headersTimeout: 15_000,
      requestTimeout: 120_000,
      maxConnections: 20_000,
    });
  });

  it.each([
    [
      'headers beyond 16 KiB',
      `GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`,
      '431',
    ],
    ['no HTTP', '\x16\x03\x01\x00\xc8\x01\r\n\r\n', '400'],
    [
      'two lengths',
      'POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
    ],
  ])('by %s is hung up on', async (_, bytes, status) => {
    const socket = connect(service.httpPort, '127.0.0.1');
    let said = '';
    socket.setEncoding('utf8').on('data', (text) => (said += text));
    socket.on('error', () => undefined);
    socket.write(bytes);
    await once(socket, 'close');
    expect(said.split(' ')[1]).toBe(status);
  });
});

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** As it stands: `fetch` would tidy up the path. */
async function ask(method: string, path: string, headers: object = {}, body = ''): Promise<Answer> {
  const asked = request({
    host: '127.0.0.1',
    port: service.httpPort,
    method,
    path,
    headers: { ...(headers as Record<string, string>), 'content-length': Buffer.byteLength(body) },
  });
  asked.on('error', () => undefined);
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage];
  let text = '';
  response.setEncoding('utf8').on('data', (part: string) => (text += part));
  await once(response, 'end');
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}
