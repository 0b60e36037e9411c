import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DatabaseService } from '../../src/database/database.service.js';
import { restoreFrom, type RestoreRequest } from '../../src/restore-from.js';
import { writeBackup, type LogKeyFiles } from '../../src/verify/backup.service.js';
import { exportBundle } from '../../src/verify/export.service.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { BLOCK, tellBlock } from './block.js';
import { openRooms, type Rooms } from './rooms.js';
import { STREET, tellStreet } from './street.js';

/**
 * The database of a street is lost. What is left is a backup of the morning and an export of the
 * afternoon; the street goes on as if nothing had happened.
 */

let rooms: Rooms;
let folder: string;
let blockInTheMorning: unknown;
/** Records of the street in the morning. */
let morningSize: number;
const opened: (() => Promise<unknown>)[] = [];

const morning = () => join(folder, 'morning');
const afternoon = () => join(folder, 'afternoon');

beforeAll(async () => {
  rooms = await openRooms();
  folder = await mkdtemp(join(tmpdir(), 'restore-'));
  await tellBlock(rooms);
  await tellStreet(rooms);
  await writeBackup(rooms.url, trustOf, morning(), await keysOf(rooms));
  morningSize = await rooms.ledger.head(rooms.database, STREET);
  blockInTheMorning = await journal(rooms.database, BLOCK);
  await goOn(rooms, '12:05');
  await exportBundle(rooms.url, trustOf(STREET), {
    microgrid: STREET,
    receiver: 'operator',
    out: afternoon(),
  });
});
afterAll(async () => {
  for (const close of opened) await close();
  await rooms.close();
  await rm(folder, { recursive: true });
});

describe('a database that was lost', () => {
  it('comes back from an old backup and a newer export, and goes on', async () => {
    const there = await newDatabase();
    const taken: LogKeyFiles[] = [];
    const takeKeys = async (keys: LogKeyFiles) => void taken.push(keys);
    const first = await restoreFrom(there.owner, request({ from: morning(), takeKeys }));
    expect(first).toMatchObject([
      { microgrid: BLOCK, had: 0, verified: { findings: [] } },
      { microgrid: STREET, had: 0, has: morningSize, verified: { findings: [] } },
    ]);
    expect(taken).toEqual([await keysOf(rooms)]);
    expect(await journal(there.owner, BLOCK)).toEqual(blockInTheMorning);
    for (const people of ['SELECT * FROM person', 'SELECT * FROM person_grant']) {
      const ordered = `${people} ORDER BY 1`;
      expect(await there.owner.query(ordered)).toEqual(await rooms.database.query(ordered));
    }
    const [second] = await restoreFrom(there.owner, request({ from: afternoon() }));
    expect(second).toMatchObject({ had: morningSize, verified: { findings: [] } });
    expect(second!.has).toBeGreaterThan(morningSize);
    const again = await openRooms({ fresh: there.fresh, dataDir: rooms.dataDir });
    expect(await journal(again.database, STREET)).toEqual(await journal(rooms.database, STREET));
    // Both go on, and write the same.
    await goOn(again, '12:20');
    await goOn(rooms, '12:20');
    expect(await journal(again.database, STREET)).toEqual(await journal(rooms.database, STREET));
    expect(await again.log.latestCheckpoint(again.database, STREET)).toEqual(
      await rooms.log.latestCheckpoint(rooms.database, STREET),
    );
  });
});

describe('a restore', () => {
  it('that is killed leaves nothing, and is completed by the next', async () => {
    const there = await newDatabase();
    for (const table of ['record_head', 'transfer', 'log_tile']) {
      await killedAt(there.fresh, table, () =>
        restoreFrom(there.owner, request({ from: afternoon() })),
      );
      expect(await there.owner.query('SELECT 1 FROM party')).toEqual([]);
    }
    const [report] = await restoreFrom(there.owner, request({ from: afternoon() }));
    expect(report).toMatchObject({ had: 0, verified: { findings: [] } });
    // Again, and there is nothing to do.
    const [again] = await restoreFrom(there.owner, request({ from: afternoon() }));
    expect(again).toMatchObject({ had: again!.has, verified: { findings: [] } });
    expect(again!.rows).toMatchObject({ record_head: 0, record_body: 0, transfer: 0, reading: 0 });
    // Nothing older, and nothing while the service is at work.
    await expect(
      restoreFrom(there.owner, request({ from: morning(), microgrid: STREET })),
    ).rejects.toThrow(`records of street, the bundle ${morningSize}`);
    await there.owner.query(
      `UPDATE journal_head SET lease_holder = 'one', lease_until = now() + interval '1 minute'`,
    );
    await expect(restoreFrom(there.owner, request({ from: afternoon() }))).rejects.toThrow(
      'the service is at work on street (one)',
    );
  });

  it('says what is missing where others hold the log alone, and brings nothing of another history', async () => {
    const out = join(folder, 'regulator');
    const bundle = { microgrid: STREET, receiver: 'regulator' as const, out };
    await exportBundle(rooms.url, trustOf(STREET), bundle);
    const there = await newDatabase();
    await restoreFrom(there.owner, request({ from: morning(), microgrid: STREET }));
    for (const from of [out, await servedAt(out)]) {
      await expect(restoreFrom(there.owner, request({ from, microgrid: STREET }))).rejects.toThrow(
        `the database the first ${morningSize}: `,
      );
    }
    // Somebody let the old backup go on instead of restoring what came after it.
    const forked = await openRooms({ fresh: there.fresh, dataDir: rooms.dataDir });
    await goOn(forked, '12:35');
    for (const from of [afternoon(), out, await servedAt(out)]) {
      await expect(restoreFrom(there.owner, request({ from, microgrid: STREET }))).rejects.toThrow(
        /they part at entry 2\d\d/,
      );
    }
  });

  it('takes nothing that is damaged', async () => {
    const file = join(afternoon(), 'tables/record_body.csv');
    const bytes = await readFile(file);
    const changed = Buffer.from(bytes);
    changed[bytes.length - 20]! ^= 1;
    await writeFile(file, changed);
    const there = await newDatabase();
    await expect(restoreFrom(there.owner, request({ from: afternoon() }))).rejects.toThrow(
      'tables/record_body.csv [file] sha256',
    );
    await writeFile(file, bytes);
  });
});

/** A slot of which no meter says anything, and money that comes in. */
async function goOn({ clock, database, slots, settlement, parties }: Rooms, until: string) {
  const at = `2026-06-01T${until}:00Z`;
  await clock.advance(database, at);
  await slots.advance(at);
  const household = (await parties.householdOf(database, 'bert'))!;
  const microgrid = (await parties.microgrid(database, STREET))!;
  const deposit = {
    direction: 'deposit' as const,
    amountMicro: 5_000,
    reference: `at-${until.replace(':', '')}`,
  };
  expect(await settlement.deposit(microgrid, household, deposit)).toBe('booked');
  await slots.advance(`2026-06-01T${until}:30Z`);
}

async function keysOf({ dataDir }: Rooms): Promise<LogKeyFiles> {
  const seed = 'keys/log.seed';
  return new Map([[seed, await readFile(join(dataDir, seed))]]);
}

function trustOf(microgrid: string) {
  return { origin: rooms.log.origin(microgrid), policy: rooms.log.policy(microgrid) };
}

function request(more: Partial<RestoreRequest> & { from: string }): RestoreRequest {
  return {
    trustIn: trustOf,
    takeKeys: () => Promise.resolve(),
    replayErasures: () => Promise.resolve(0),
    ...more,
  };
}

async function newDatabase(): Promise<{ fresh: FreshDatabase; owner: DatabaseService }> {
  const fresh = await freshDatabase();
  const owner = await DatabaseService.open({ url: fresh.ownerUrl, role: 'owner', poolSize: 2 });
  opened.push(async () => {
    await owner.close();
    await fresh.drop();
  });
  return { fresh, owner };
}

async function journal(database: DatabaseService, microgrid: string) {
  return rooms.ledger.summary(database, microgrid);
}

/** Runs `work` up to where it wants this table, and ends its connection there. */
async function killedAt(
  { asOwner }: FreshDatabase,
  table: string,
  work: () => Promise<unknown>,
): Promise<void> {
  await asOwner(async (sql) => {
    await sql.query(`LOCK TABLE ${table} IN SHARE MODE`);
    const killed = expect(work()).rejects.toThrow();
    for (let ended = 0; ended === 0; await sleep(5)) {
      // Within a transaction PostgreSQL shows the same activity over and over.
      await sql.query('SELECT pg_stat_clear_snapshot()');
      ended = (await sql.query(END_WAITING)).length;
    }
    await killed;
  });
}

const END_WAITING = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock'`;

async function servedAt(path: string): Promise<string> {
  const server: Server = createServer((incoming, response) => {
    readFile(join(path, incoming.url ?? '')).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  opened.push(() => new Promise((done) => server.close(done)));
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address!.port : 0}`;
}
