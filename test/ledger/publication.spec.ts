import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LogService } from '../../src/ledger/log.service.js';
import { LogContradicted, PublicationService } from '../../src/ledger/publication.service.js';
import { judgeEquivocation, parseEquivocation } from '../../src/transparency/equivocation.js';
import {
  formatVerifierKey,
  parseVerifierKey,
  verifierKeyOf,
} from '../../src/transparency/signed-note.js';
import { openByPolicy, parsePolicy } from '../../src/transparency/tlog-policy.js';
import { witnessServer } from '../../src/witness-server.js';
import { WitnessStore } from '../../src/witness-store.js';
import { openBooks, type OpenBooks } from './books.js';

/** A log and its witnesses: real ones over HTTP, and some that are slow, wrong or hostile. */

let books: OpenBooks;
let witnesses: RunningWitness[];
beforeEach(async () => {
  Logger.overrideLogger(false);
  books = await openBooks();
  witnesses = [];
});
afterEach(async () => {
  for (const witness of witnesses) witness.stop();
  await books.close();
});

describe('a checkpoint is published', () => {
  test('when the quorum has cosigned it, and is good by the policy that is served', async () => {
    const { log, publication } = await instance(await run(3), 2);
    await appendAndSign(log, 5, publication);
    witnesses[1]!.stop();
    await appendAndSign(log, 3, publication);
    const published = (await log.latestPublished(books.database, 'street'))!;
    expect(published.size).toBe(8);
    const verdict = openByPolicy(published.note, log.policy('street'));
    expect(verdict).toMatchObject({
      outcome: 'verified',
      checkpoint: { size: 8 },
      cosigned: [{ name: 'w0.example' }, { name: 'w2.example' }],
    });
    const [row] = await books.database.query<{ policy: Buffer; hash: Buffer }>(
      `SELECT policy, policy_hash AS hash FROM log_policy`,
    );
    expect(createHash('sha256').update(row!.policy).digest()).toEqual(row!.hash);
    expect(openByPolicy(published.note, parsePolicy(row!.policy)).outcome).toBe('verified');
    expect((await publication.figures()).failures).toEqual([
      { witness: 'w1', reason: 'unreachable', count: 1 },
    ]);
  });

  test('and until then the last one stays, and the lag is told', async () => {
    const { log, publication } = await instance(await run(2), 2);
    await appendAndSign(log, 5, publication);
    const address = witnesses[1]!.stop();
    await appendAndSign(log, 3, publication);
    expect((await log.latestPublished(books.database, 'street'))!.size).toBe(5);
    expect(await log.publishedCovering(books.database, 'street', 6)).toBeNull();
    expect((await publication.figures()).lags).toEqual([
      { microgrid: 'street', records: 3, seconds: expect.any(Number) },
    ]);
    await witnesses[1]!.start(address);
    // Another instance: this one waits a little before it asks again.
    await (await again()).publication.publishDue();
    expect((await log.latestPublished(books.database, 'street'))!.size).toBe(8);
    expect((await log.publishedCovering(books.database, 'street', 2))!.size).toBe(5);
    expect((await log.publishedCovering(books.database, 'street', 6))!.size).toBe(8);
  });

  test('also by a witness that comes late, is ahead of what was told, or is asked by two instances', async () => {
    const { log, publication } = await instance(await run(2), 1);
    const address = witnesses[0]!.stop();
    await appendAndSign(log, 5, publication);
    await appendAndSign(log, 7, publication);
    await witnesses[0]!.start(address);
    const { publication: other } = await again();
    await appendAndSign(log, 1, publication, other);
    await appendAndSign(log, 1, other);
    await appendAndSign(log, 300, publication);
    const { note } = (await log.latestPublished(books.database, 'street'))!;
    expect(openByPolicy(note, log.policy('street'))).toMatchObject({
      checkpoint: { size: 314 },
      cosigned: [{ name: 'w0.example' }, { name: 'w1.example' }],
    });
  });

  test('and the keys of all logs are written where witnesses can follow them', async () => {
    const { log, publication } = await instance(await run(1), 1);
    await publication.publishDue();
    const list = parsePolicy(await readFile(join(books.settings.dataDir, 'logs.policy')));
    expect(list.logs.map(({ key }) => formatVerifierKey(key))).toEqual([
      log.verifierKey('avenue'),
      log.verifierKey('street'),
    ]);
  });
});

describe('answers that are no cosignature publish nothing, and are counted', () => {
  const hostile: [string, RequestListener][] = [
    ['answer_not_understood', (_, response) => response.end('thank you\n')],
    ['answer_not_understood', (_, response) => response.writeHead(500).end('\u0000')],
    ['answer_not_understood', (_, response) => response.writeHead(409).end('many\n')],
    ['answer_not_understood', (_, response) => response.end('x'.repeat(1_000_000))],
    ['log_not_known', (_, response) => response.writeHead(404).end()],
    ['signature_not_trusted', (_, response) => response.writeHead(403).end()],
    ['cosignature_not_good', (_, response) => response.end('\u2014 w0.example AAAAAAAAAAA=\n')],
    ['unreachable', (_, response) => response.writeHead(302, { location: '/' }).end()],
    ['unreachable', (request) => request.socket.destroy()],
    ['unreachable', () => undefined],
  ];
  test.each(hostile)('%s', async (reason, listener) => {
    const real = await run(1);
    const { log, publication } = await instance(real, 1);
    await appendAndSign(log, 2, publication);
    const address = real[0]!.stop();
    const server = createServer((request, response) => {
      request.resume();
      listener(request, response);
    }).listen(address.port, '127.0.0.1');
    await once(server, 'listening');
    await appendAndSign(log, 2, publication);
    expect((await log.latestPublished(books.database, 'street'))!.size).toBe(2);
    expect((await publication.figures()).failures).toEqual([{ witness: 'w0', reason, count: 1 }]);
    server.close();
    server.closeAllConnections();
  });
});

describe('at the start', () => {
  test('a log that is where its witnesses are goes on', async () => {
    const { log, publication } = await instance(await run(2), 2);
    await appendAndSign(log, 5, publication);
    const restarted = await again();
    expect(restarted.logs.isHeld('street')).toBe(true);
    await restarted.publication.checkAtStart();
    expect(restarted.logs.isHeld('street')).toBe(false);
  });

  test('one that is behind them does not, and is told how to', async () => {
    const { log, publication } = await instance(await run(1), 1);
    await appendAndSign(log, 5, publication);
    await inAnotherDatabase(async () => {
      await books.append(books.note(2));
      await books.log.sign(books.database, 'street');
      const restored = await again();
      const start = restored.publication.checkAtStart();
      await expect(start).rejects.toThrow(LogContradicted);
      await expect(start).rejects.toThrow(
        /signed up to record 2 here, and the witness w0\.example has cosigned 5: .*npm run restore.*new-origin/,
      );
    });
  });

  test('one whose database is empty signs nothing under the old name', async () => {
    const { log, publication } = await instance(await run(1), 1);
    await appendAndSign(log, 5, publication);
    await inAnotherDatabase(async () => {
      await books.append(books.note(8));
      const restored = await again();
      await expect(restored.publication.checkAtStart()).rejects.toThrow(
        /has cosigned 5 records of it/,
      );
      expect(await restored.logs.sign(books.database, 'street')).toBeNull();
    });
  });

  test('one that contradicts them does not, and leaves evidence that anyone can check', async () => {
    const { log, publication } = await instance(await run(1), 1);
    await appendAndSign(log, 5, publication);
    const honest = (await log.latestPublished(books.database, 'street'))!;
    await inAnotherDatabase(async () => {
      await books.append(books.note(8));
      await books.log.sign(books.database, 'street');
      const restored = await again();
      await expect(restored.publication.checkAtStart()).rejects.toThrow(
        /does not extend what the witness w0/,
      );
      const folder = join(books.settings.dataDir, 'evidence');
      const [file] = await readdir(folder);
      const evidence = parseEquivocation(await readFile(join(folder, file!), 'utf8'));
      expect(judgeEquivocation(evidence)).toMatchObject({
        outcome: 'proven',
        smaller: { size: 5, root: Uint8Array.from(honest.root) },
        larger: { size: 8 },
      });
      expect(evidence.key).toEqual(parseVerifierKey(log.verifierKey('street')));
    });
  });

  test('with no quorum of witnesses nothing is signed until one answers', async () => {
    const { log, publication } = await instance(await run(2), 2);
    await appendAndSign(log, 5, publication);
    const addresses = witnesses.map((witness) => witness.stop());
    const restarted = await again();
    await restarted.publication.checkAtStart();
    await books.append(books.note(3));
    expect((await restarted.logs.sign(books.database, 'street'))!.size).toBe(5);
    await witnesses[0]!.start(addresses[0]!);
    await (await again(restarted.logs)).publication.publishDue();
    expect((await restarted.logs.sign(books.database, 'street'))!.size).toBe(5);
    await witnesses[1]!.start(addresses[1]!);
    await (await again(restarted.logs)).publication.publishDue();
    expect((await restarted.logs.sign(books.database, 'street'))!.size).toBe(8);
  });
});

describe('the file of witnesses', () => {
  test.each([
    ['quorum A\n', 'a quorum not defined before'],
    ['log x\nquorum none\n', 'line 1'],
    [() => `witness A ${vkeyOf(witnesses[0]!)}\nquorum A\n`, 'whose address is not given'],
    [() => `witness A ${vkeyOf(witnesses[0]!)} ftp://a\nquorum A\n`, 'not http or https'],
  ] as const)('%s is refused', async (text, message) => {
    await run(1);
    const file = join(books.settings.dataDir, 'witnesses');
    await writeFile(file, typeof text === 'string' ? text : text());
    expect(() => new LogService({ ...books.settings, witnesses: file })).toThrow(message);
  });
});

/** A service with these witnesses and a quorum of so many of them. */
async function instance(all: readonly RunningWitness[], quorum: number) {
  const file = join(books.settings.dataDir, 'witnesses');
  const lines = all.map((witness, at) => `witness w${at} ${vkeyOf(witness)} ${witness.url}\n`);
  const names = all.map((_, at) => `w${at}`).join(' ');
  await writeFile(file, `${lines.join('')}group G ${quorum} ${names}\nquorum G\n`);
  const settings = { ...books.settings, witnesses: file, witnessTimeoutMillis: 400 };
  const log = new LogService(settings);
  return { log, publication: new PublicationService(settings, books.database, log) };
}

/** Another instance, with the same settings, as after a restart; or only its publication anew. */
async function again(kept?: LogService) {
  const file = join(books.settings.dataDir, 'witnesses');
  const settings = { ...books.settings, witnesses: file, witnessTimeoutMillis: 400 };
  const logs = kept ?? new LogService(settings);
  return { logs, publication: new PublicationService(settings, books.database, logs) };
}

/** Appends records, signs them, and shows them to the witnesses, as an instance does in turns. */
async function appendAndSign(log: LogService, count: number, ...by: PublicationService[]) {
  await books.append(books.note(count));
  if (log.isHeld('street')) await by[0]!.publishDue();
  await log.sign(books.database, 'street');
  await Promise.all(by.map((publication) => publication.publishDue()));
}

/** As when the database is lost, or was restored from another time: the keys are the same. */
async function inAnotherDatabase(work: () => Promise<void>): Promise<void> {
  const kept = books;
  const other = await openBooks();
  books = { ...other, settings: kept.settings, log: new LogService(kept.settings) };
  try {
    await work();
  } finally {
    books = kept;
    await other.close();
  }
}

async function run(count: number): Promise<RunningWitness[]> {
  for (let at = 0; at < count; at += 1) {
    const witness = new RunningWitness(at);
    await witness.start({ port: 0 });
    witnesses.push(witness);
  }
  return witnesses;
}

function vkeyOf({ key }: RunningWitness): string {
  return formatVerifierKey(verifierKeyOf(key));
}

class RunningWitness {
  private readonly store: WitnessStore;
  private server: Server | undefined;
  readonly key;
  url = '';

  constructor(at: number) {
    const folder = join(books.settings.dataDir, `witness-${at}`);
    this.store = WitnessStore.open(folder);
    this.key = this.store.readOrMakeKey(join(folder, 'witness.key'), `w${at}.example`);
  }

  async start({ port }: { port: number }): Promise<void> {
    const names = ['street', 'avenue'];
    const keys = names.map((name) => parseVerifierKey(books.log.verifierKey(name)));
    this.server = witnessServer({
      store: this.store,
      key: this.key,
      keysOf: (origin) => keys.filter(({ name }) => name === origin),
    }).listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  stop(): { port: number } {
    const address = this.server?.address() as { port: number } | null;
    this.server?.close();
    this.server?.closeAllConnections();
    return { port: address?.port ?? 0 };
  }
}
