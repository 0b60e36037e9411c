import { hash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { randomFrom } from '../simulator/random.js';
import { LedgerService } from '../src/ledger/ledger.service.js';
import * as store from '../src/ledger/ledger.store.js';
import { LogService } from '../src/ledger/log.service.js';
import {
  commitment,
  fieldLeaf,
  logEntry,
  recordBody,
  recordBytes,
  recordFields,
  type RecordBody,
  type RecordDraft,
} from '../src/ledger/record.js';
import { verifyInclusion } from '../src/transparency/merkle-proof.js';
import { CompactRange, leafHash } from '../src/transparency/merkle-tree.js';
import { extendTiles, partialTilesOf, type Tile } from '../src/transparency/tile.js';
import { cloneTables, copyIn, readCopyText, withDatabase, type BenchDatabase } from './database.js';
import {
  journalDrafts,
  MICROGRID,
  openingDrafts,
  STARTS,
  type Workload,
} from './journal-drafts.js';
import { compare, median, quantile, timeAsyncMillis, timeMillis } from './measure.js';
import { present, progress, type Limit, type Report, type Table } from './report.js';

/**
 * The ledger and its log: what posting costs beside putting the same rows into the same tables, what
 * a commitment costs beside the hashes it consists of, and what a proof costs in a log of 100,000.
 */

const HELP = `npm run bench -- log [--json]

Transfers and records a second, durable, through the ledger in batches of 1,000 transfers, against COPY
of the same rows into the same keyed, constrained tables, and against one transaction for each
transfer; commitments a second on one core; entries a second into the log; proofs from 100,000 entries.
`;

const SEED = '1';
const BATCHES = 11;
const WARM_UP = 2;
const SINGLE_TRANSFERS = 100;
const LOG_ENTRIES = 100_000;
const PROOFS = 300;
/** What one append writes besides balances. */
const JOURNAL = ['record_head', 'record_body', 'record_household', 'transfer', 'log_entry'];

const WORKLOADS: Workload[] = [
  { name: 'ten a record, 10,000 households', transfersARecord: 10, households: 10_000 },
  { name: 'ten a record, 10 households', transfersARecord: 10, households: 10 },
  { name: 'one a record, 10,000 households', transfersARecord: 1, households: 10_000 },
];

async function measure(): Promise<Report> {
  return withDatabase(async (bench) => {
    const posting = await measurePosting(bench);
    const hashing = measureHashing();
    const proofs = await measureProofs(bench);
    return {
      tables: [...posting.tables, ...hashing.tables, ...proofs],
      limits: [...posting.limits, ...hashing.limits],
      notes: [`Seed ${SEED}. ${bench.durability}.`],
    };
  });
}

async function measurePosting({ database, owner }: BenchDatabase): Promise<{
  tables: Table[];
  limits: Limit[];
}> {
  const ledger = new LedgerService();
  await database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, starts_at)
     VALUES ($1, 'A benchmark', 'EUR', $2)`,
    [MICROGRID, STARTS],
  );
  await cloneTables(owner, 'plain', JOURNAL);
  await cloneTables(owner, 'alone', ['transfer']);
  const client = new pg.Client({ connectionString: owner.url });
  await client.connect();
  const append = (drafts: readonly RecordDraft[]): Promise<number[]> =>
    database.transaction((sql) => ledger.append(sql, MICROGRID, drafts));
  const table: Table = { title: 'Posting in batches of 1,000 transfers, durable', rows: [] };
  const limits: Limit[] = [];
  try {
    for (const workload of WORKLOADS) {
      progress(`posting: ${workload.name}`);
      const next = journalDrafts(workload, randomFrom(`${SEED}/${workload.name}`));
      await append(openingDrafts(workload));
      const turns = { posting: [] as number[], rows: [] as number[], alone: [] as number[] };
      for (let batch = 0; batch < WARM_UP + BATCHES; batch += 1) {
        const drafts = next(1_000 / workload.transfersARecord);
        const first = (await ledger.head(database, MICROGRID)) + 1;
        const posting = await timeAsyncMillis(() => append(drafts));
        const last = await ledger.head(database, MICROGRID);
        const texts = await Promise.all(
          JOURNAL.map((name) => {
            const [column, less] = name === 'log_entry' ? ['entry_index', 1] : ['sequence', 0];
            return readCopyText(
              database,
              name,
              `microgrid_id = $1 AND ${column} BETWEEN $2 AND $3`,
              [MICROGRID, first - less, last - less],
            );
          }),
        );
        const rows = await timeAsyncMillis(() => copyIn(client, 'plain', texts));
        const transfers = texts.filter(({ table: name }) => name === 'transfer');
        const alone = await timeAsyncMillis(() => copyIn(client, 'alone', transfers));
        if (batch < WARM_UP) continue;
        turns.posting.push(posting);
        turns.rows.push(rows);
        turns.alone.push(alone);
      }
      const single: number[] = [];
      for (const draft of next(SINGLE_TRANSFERS, 1)) {
        single.push(await timeAsyncMillis(() => append([draft])));
      }
      const perSecond = (millis: number[]): number => 1_000_000 / median(millis);
      const [ours, copied] = [perSecond(turns.posting), perSecond(turns.rows)];
      const oneByOne = 1_000 / median(single);
      table.rows.push({
        transfers: workload.name,
        'posted/s': ours,
        'records/s': ours / workload.transfersARecord,
        'all rows by COPY/s': copied,
        'transfer rows alone/s': perSecond(turns.alone),
        'one a transaction/s': oneByOne,
        'to COPY': ours / copied,
        'to one by one': ours / oneByOne,
      });
      limits.push({
        what: `${workload.name}: posting to COPY of the same rows`,
        measured: ours / copied,
        least: 0.25,
      });
      limits.push({
        what: `${workload.name}: posting to one transfer a transaction`,
        measured: ours / oneByOne,
        least: 10,
      });
    }
  } finally {
    await client.end();
  }
  return { tables: [table], limits };
}

/** One core, no database: commitments of records, and entries into the tree and its tiles. */
function measureHashing(): { tables: Table[]; limits: Limit[] } {
  progress('hashing');
  const key = randomBytes(32);
  const next = journalDrafts(WORKLOADS[0]!, randomFrom(`${SEED}/hashing`));
  const bodies = next(1_000).map((draft, index) => recordBody(MICROGRID, index + 1, draft, []));
  const fields = bodies.reduce((sum, body) => sum + recordFields(body).length, 0) / bodies.length;
  const bytes = bodies.reduce((sum, body) => sum + recordBytes(body).length, 0) / bodies.length;
  const messages = bodies.map((body) => hashedMessages(key, body));
  const bareHashes = (): void => {
    for (const each of messages) for (const message of each) hash('sha256', message, 'buffer');
  };
  const commit = (): void => {
    for (const body of bodies) commitment(key, body);
  };
  const { oursMillis, peerMillis, ratio } = compare(commit, bareHashes, {
    millis: 4_000,
    calls: 1,
  });
  const entries = Array.from({ length: 200 * 1_000 }, () => randomBytes(32));
  const logMillis = timeMillis(() => growLog(entries, 1_000));
  const entriesASecond = (1_000 * entries.length) / logMillis;
  return {
    tables: [
      {
        title: 'Hashing on one core, no database',
        rows: [
          {
            what: `commitment to a record of ${Math.round(fields)} fields, ${Math.round(bytes)} bytes`,
            'a second': (1_000 * bodies.length) / oursMillis,
            peer: `its ${messages[0]!.length} SHA-256 alone`,
            'peer a second': (1_000 * bodies.length) / peerMillis,
            'times the peer': ratio,
          },
          {
            what: 'ready commitments into tree and tiles, by 1,000',
            'a second': entriesASecond,
            peer: null,
            'peer a second': null,
            'times the peer': null,
          },
        ],
      },
    ],
    limits: [
      {
        what: 'ready commitments into the log a second',
        measured: entriesASecond,
        least: 50_000,
      },
    ],
  };
}

/** As many messages as a commitment hashes, and as long: per field an HMAC, its leaf and a node. */
function hashedMessages(key: Uint8Array, body: RecordBody): Uint8Array[] {
  const fields = recordFields(body);
  const block = randomBytes(96);
  const leaves = fields.map((field) => Buffer.concat([Uint8Array.of(0), fieldLeaf(key, field)]));
  return [block, block, ...leaves.flatMap((leaf) => [block, block, leaf, block])].slice(0, -1);
}

/** Appends as the ledger does, without its statements. @returns all tiles and the right edge */
function growLog(
  commitments: readonly Uint8Array[],
  batch: number,
): { tiles: Map<string, Tile>; range: CompactRange } {
  const tiles = new Map<string, Tile>();
  const range = CompactRange.empty();
  for (let size = 0; size < commitments.length; size += batch) {
    const hashes = commitments.slice(size, size + batch).map((one) => leafHash(logEntry(one)));
    const partial = partialTilesOf(size).map(({ level, tile }) => tiles.get(`${level}/${tile}`)!);
    for (const tile of extendTiles(size, hashes, partial)) {
      tiles.set(`${tile.level}/${tile.tile}`, tile);
    }
    for (const each of hashes) range.append(each);
  }
  return { tiles, range };
}

/** Proofs by the service, each checked against the root. */
async function measureProofs({ database, settings }: BenchDatabase): Promise<Table[]> {
  progress(`proofs from ${LOG_ENTRIES} entries`);
  const log = new LogService(settings);
  const microgrid = 'log';
  await database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, starts_at)
     VALUES ($1, 'A log', 'EUR', $2)`,
    [microgrid, STARTS],
  );
  const commitments = Array.from({ length: LOG_ENTRIES }, () => randomBytes(32));
  const { tiles, range } = growLog(commitments, 10_000);
  await database.query(store.INSERT_LOG_ENTRIES, [
    microgrid,
    commitments.map((_, index) => index),
    commitments.map((one) => Buffer.from(logEntry(one))),
  ]);
  const all = [...tiles.values()];
  await database.query(store.WRITE_TILES, [
    microgrid,
    all.map(({ level }) => level),
    all.map(({ tile }) => tile),
    all.map(({ hashes }) => Buffer.from(hashes)),
  ]);
  const random = randomFrom(`${SEED}/proofs`);
  const root = range.root();
  const proveMillis: number[] = [];
  const verifyMillis: number[] = [];
  for (let at = 0; at < PROOFS; at += 1) {
    const index = random.between(0, LOG_ENTRIES - 1);
    const started = performance.now();
    const proof = await log.proveInclusion(database, microgrid, index + 1, LOG_ENTRIES);
    const proven = performance.now();
    const hashed = leafHash(logEntry(commitments[index]!));
    if (!verifyInclusion({ index, size: LOG_ENTRIES, leafHash: hashed, proof, root })) {
      throw new Error(`the proof of entry ${index} does not hold`);
    }
    proveMillis.push(proven - started);
    verifyMillis.push(performance.now() - proven);
  }
  const row = (what: string, millis: readonly number[]) => ({
    what,
    'p50 ms': quantile(millis, 0.5),
    'p99 ms': quantile(millis, 0.99),
  });
  const title = `Inclusion proofs from ${LOG_ENTRIES.toLocaleString('en-US')} entries`;
  return [{ title, rows: [row('made', proveMillis), row('checked', verifyMillis)] }];
}

await present('log', HELP, measure);
