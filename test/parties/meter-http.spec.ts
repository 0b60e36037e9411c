import { createPublicKey } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parsePublicKey } from '../../src/parties/meter-key.js';
import { Signer } from '../support/signing.js';
import { Street } from './street.js';

/** What operators and households do about a meter over HTTP: its key, and the code that claims it. */

const METERS = '/v1/operator/microgrids/street/meters';
const KEY = `${METERS}/h1-grid/key`;

let street: Street;
let otto: string;
let anna: string;
let folder: string;

beforeAll(async () => {
  street = await Street.open();
  [otto, anna] = await Promise.all([street.logIn('otto'), street.logIn('anna')]);
  folder = await mkdtemp(join(tmpdir(), 'meter-http-'));
});
afterAll(async () => {
  await street.stop();
  await rm(folder, { recursive: true });
});

/** As the operator. */
const asked = (method: string, path: string, body?: unknown) =>
  street.call<Answer>(method, path, { token: otto, ...(body === undefined ? {} : { body }) });

/** Fields of the answers that are looked into here. */
interface Answer {
  items: { number: number; publicKey: string | null }[];
  number: number;
  publicKey: string | null;
  registeredAt: string;
  code: string;
  detail: string;
  expiresAt: string;
  household: string;
  username: string;
  secret: string;
}

describe('the key of a meter', () => {
  const first = parsePublicKey(new Signer(1).publicKey).toString('base64');

  test('is registered in whichever form it comes, and the same again changes nothing', async () => {
    const key = createPublicKey({ key: Buffer.from(first, 'base64'), format: 'der', type: 'spki' });
    for (const publicKey of [
      new Signer(1).publicKey,
      first,
      Buffer.from(first, 'base64').subarray(-32).toString('hex'),
      key.export({ format: 'pem', type: 'spki' }),
    ]) {
      const { status, body } = await asked('POST', KEY, { publicKey });
      expect([status, body.number, body.publicKey]).toEqual([201, 1, first]);
    }
    expect((await asked('GET', `${METERS}/h1-grid/keys`)).body.items).toHaveLength(1);
  });

  test('is replaced, revoked, and never taken again; each time is in the journal', async () => {
    const { publicKey } = new Signer(2);
    expect((await asked('POST', KEY, { publicKey })).body.number).toBe(2);
    expect((await asked('POST', KEY, { publicKey: first })).body.code).toBe('key_was_replaced');
    const revoked = await asked('DELETE', KEY);
    expect([revoked.status, revoked.body.number, revoked.body.publicKey]).toEqual([200, 3, null]);
    expect(await asked('DELETE', KEY)).toMatchObject({
      status: 404,
      body: { code: 'unknown_key' },
    });
    expect((await asked('POST', KEY, { publicKey })).status).toBe(409);
    const { items } = (await asked('GET', `${METERS}/h1-grid/keys`)).body;
    expect(items.map(({ number }) => number)).toEqual([1, 2, 3]);
    const told = await street.database.query<{ facts: { action: string; number: number } }>(
      `SELECT convert_from(bytes, 'UTF8')::jsonb -> 'facts' AS facts FROM record_body
       WHERE convert_from(bytes, 'UTF8')::jsonb #>> '{facts,action}' = 'meter-key'
       ORDER BY sequence`,
    );
    expect(told.map(({ facts }) => facts.number)).toEqual([1, 2, 3]);
  });

  test.each<[string, unknown, string, RegExp]>([
    ['nothing', {}, 'invalid_request', /publicKey/],
    ['an empty one', { publicKey: ' ' }, 'invalid_request', /publicKey: must not be empty/],
    ['a number', { publicKey: 7 }, 'invalid_request', /publicKey/],
    [
      'too long a one',
      { publicKey: 'A'.repeat(2_001) },
      'invalid_request',
      /publicKey: is too long/,
    ],
    [
      'something beside it',
      { publicKey: new Signer(3).publicKey, algorithm: 'none' },
      'invalid_request',
      /algorithm/,
    ],
    ['words', { publicKey: 'no key' }, 'unusable_key', /publicKey is no public key: give PEM/],
    [
      'one that proves nothing',
      { publicKey: `01${'00'.repeat(31)}` },
      'unusable_key',
      /small order/,
    ],
  ])('is not %s, and the answer names it', async (_, body, code, detail) => {
    const answer = await asked('POST', KEY, body);
    expect([answer.status, answer.body.code]).toEqual([400, code]);
    expect(answer.body.detail).toMatch(detail);
  });

  test('is nobody else’s to see or to change', async () => {
    const body = { publicKey: new Signer(4).publicKey };
    for (const [method, path, sent] of [
      ['POST', KEY, body],
      ['DELETE', KEY, undefined],
      ['GET', `${METERS}/h1-grid/keys`, undefined],
    ] as const) {
      const more = sent === undefined ? {} : { body: sent };
      expect((await street.call(method, path, more)).status).toBe(401);
      expect((await street.call(method, path, { token: anna, ...more })).status).toBe(403);
      expect((await asked(method, path.replace('h1-grid', 'x1-grid'), sent)).status).toBe(404);
      expect((await asked(method, path.replace('/street/', '/other/'), sent)).status).toBe(403);
    }
  });

  test('comes from the command line as a file or by itself', async () => {
    const file = join(folder, 'meter.key');
    const { publicKey } = new Signer(5);
    await writeFile(file, `${publicKey}\n`);
    const meter = { microgrid: 'street', meter: 'h2-grid' };
    expect((await street.command('register-key', { ...meter, key: file })).document).toMatchObject({
      number: 1,
    });
    const again = await street.command('register-key', { ...meter, key: publicKey });
    expect(again.document).toMatchObject({ number: 1 });
    const revoked = await street.command('revoke-key', meter);
    expect(revoked.document).toMatchObject({ number: 2, publicKey: null });
    await expect(street.command('revoke-key', meter)).rejects.toMatchObject({ status: 404 });
  });
});

describe('a claim code', () => {
  const CODE = `${METERS}/h2-grid/claim-code`;
  const claim = (code: string, meter = 'h2-grid') =>
    street.call<Answer>('POST', `/v1/meters/${meter}/claim`, { body: { code } });
  const made = async () => (await asked('POST', CODE)).body;

  test('is good for three days, once, and no longer than until the next', async () => {
    const { expiresAt, code: early } = await made();
    const hours = (Date.parse(expiresAt) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(71.9);
    expect(hours).toBeLessThanOrEqual(72);
    const { code } = await made();
    expect((await claim(early)).body.code).toBe('code_refused');
    const claimed = await claim(code);
    expect([claimed.status, claimed.body.username]).toEqual([200, 'h2-grid']);
    expect((await claim(code)).body.code).toBe('code_refused');
  });

  test('is worth nothing once its time is over', async () => {
    const { code } = await made();
    await street.database.query(
      `UPDATE meter_claim SET expires_at = now() WHERE meter_id = 'h2-grid'`,
    );
    expect(await claim(code)).toMatchObject({ status: 403, body: { code: 'code_refused' } });
  });

  test('is another household’s for nobody, nor for one without its rights', async () => {
    const { code } = await made();
    const path = '/v1/households/h1/meters/h2-grid/claim';
    const body = { code };
    expect((await street.call('POST', path, { token: anna, body })).status).toBe(403);
    const others = path.replace('h1', 'h2');
    expect((await street.call('POST', others, { token: anna, body })).status).toBe(403);
    expect((await street.call('POST', others, { body })).status).toBe(401);
    expect((await claim(code)).status).toBe(200);
  });

  test('is not to be guessed: after ten wrong ones the right one has to wait as well', async () => {
    const { body } = await asked('POST', `${METERS}/h1-grid/claim-code`);
    const statuses: number[] = [];
    for (let n = 0; n < 10; n += 1) statuses.push((await claim('00000-00000', 'h1-grid')).status);
    expect(new Set(statuses)).toEqual(new Set([403]));
    const late = await claim(body.code, 'h1-grid');
    expect([late.status, late.body.code]).toEqual([429, 'too_many_requests']);
    const seconds = Number(late.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(800);
    expect(seconds).toBeLessThanOrEqual(900);
    // Its neighbor's meter is not held up by it.
    const { code } = await made();
    expect((await claim(code)).status).toBe(200);
  });
});
