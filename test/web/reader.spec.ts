import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ApiProblem } from '../../web/src/problem.js';
import { Reader, type Told } from '../../web/src/reader.js';

/** What a panel shows while changes come faster than a real server answers. */

describe('a thing that changes faster than it is read', () => {
  let server: Server;
  let url: string;
  /** What the server would answer now. */
  let state = 0;
  let asked = 0;
  let waiting: ServerResponse[] = [];
  let mostAtOnce = 0;
  let told: Told<number>[] = [];
  let reader: Reader<number>;

  beforeEach(async () => {
    [state, asked, mostAtOnce] = [0, 0, 0];
    [waiting, told] = [[], []];
    server = createServer((_, response) => {
      asked += 1;
      waiting.push(response);
      mostAtOnce = Math.max(mostAtOnce, waiting.length);
      const seen = state;
      response.on('close', () => waiting.splice(waiting.indexOf(response), 1));
      setTimeout(() => response.end(String(seen)), 60);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    reader = new Reader(
      async (signal) => Number(await (await fetch(url, { signal })).text()),
      (one) => told.push(one),
    );
  });

  afterEach(async () => {
    reader.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test('is read to its end each time, one read at a time, and last of all as it is at last', async () => {
    for (state = 1; state <= 40; state += 1) {
      reader.want({ version: state, tries: 0 });
      await sleep(10);
    }
    state = 40;
    // Before the changes end, some of them have been shown: nobody waits for silence.
    expect(told.length).toBeGreaterThan(1);
    await until(() => told.at(-1)?.wanted.version === 40);
    expect(mostAtOnce).toBe(1);
    expect(asked).toBeLessThan(20);
    for (const one of told) expect(dataOf(one)).toBeGreaterThanOrEqual(Number(one.wanted.version));
    expect(dataOf(told.at(-1)!)).toBe(40);
    const settled = asked;
    await sleep(150);
    expect(asked).toBe(settled);
  });

  test('what was under way when somebody saved is not shown', async () => {
    reader.want({ version: 1, tries: 0 });
    await until(() => asked === 1);
    state = 7;
    reader.want({ version: 1, tries: 1 });
    await until(() => told.length > 0);
    expect(told).toEqual([{ wanted: { version: 1, tries: 1 }, data: 7 }]);
    expect(mostAtOnce).toBe(1);
  });

  test('a failed read is told beside the next one, and nothing after the panel is gone', async () => {
    const refused = new ApiProblem(403, 'forbidden', 'Not yours.');
    const failing = new Reader<number>(
      async () => {
        await sleep(20);
        throw refused;
      },
      (one) => told.push(one),
    );
    failing.want({ version: 1, tries: 0 });
    await until(() => told.length === 1);
    expect(told[0]).toEqual({ wanted: { version: 1, tries: 0 }, problem: refused });
    failing.want({ version: 2, tries: 0 });
    failing.close();
    reader.want({ version: 1, tries: 0 });
    await until(() => asked === 1);
    reader.close();
    await sleep(120);
    expect(told.length).toBe(1);
    expect(waiting).toEqual([]);
  });
});

function dataOf(told: Told<number>): number {
  if ('problem' in told) throw told.problem;
  return told.data;
}

async function until(isSo: () => boolean): Promise<void> {
  const end = Date.now() + 5_000;
  while (!isSo()) {
    if (Date.now() > end) throw new Error('it did not come to that within 5 s');
    await sleep(5);
  }
}
