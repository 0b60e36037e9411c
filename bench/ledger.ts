import { hash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { randomFrom } from '../simulator/random.js';
import { CopyRows } from '../src/database/copy-rows.js';
import type { DatabaseService } from '../src/database/database.service.js';
import { LedgerService } from '../src/ledger/ledger.service.js';
import { LogService } from '../src/ledger/log.service.js';
import {
  fieldLeaf,
  logEntry,
  recordBody,
  recordFields,
  sealRecord,
  type RecordBody,
  type RecordDraft,
} from '../src/ledger/record.js';
import { verifyInclusion } from '../src/transparency/merkle-proof.js';
import { CompactRange, leafHash } from '../src/transparency/merkle-tree.js';
import { extendTiles, partialTilesOf, TILE_WIDTH, type Tile } from '../src/transparency/tile.js';
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
 * sealing a record costs beside the hashes it consists of, and what a proof costs in a log of ten
 * million entries.
 */

const HELP = `npm run bench -- ledger [--json]

Transfers and records a second, durable, through the ledger in batches of 1,000 transfers, over few
hot accounts and over many, against COPY of the same rows into the same keyed, constrained tables, and
against one transaction for each transfer; log entries a second on one core, with their commitments and
with ready ones; proofs from 10,000,000 entries.
`;

const SEED = '1';
const BATCHES = 11;
const WARM_UP = 2;
const SINGLE_TRANSFERS = 100;
const LOG_ENTRIES = 10_000_000;
const PROOFS = 300;
/** What one batch writes besides balances. */
const JOURNAL = ['record_head', 'record_body', 'record_household', 'transfer', 'log_entry'];

const WORKLOADS: Workload[] = [
  { name: 'ten a record, 10,000 households', transfersARecord: 10, households: 10_000 },
  { name: 'ten a record, 10 households', transfersARecord: 10, households: 10 },
  { name: 'one a record, 10,000 households', transfersARecord: 1, households: 10_000 },
  { name: 'one a record, 10 households', transfersARecord: 1, households: 10 },
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
  const submit = async (drafts: readonly RecordDraft[]): Promise<void> => {
    const outcomes = await database.transaction((sql) => ledger.submit(sql, MICROGRID, drafts));
    const refused = outcomes.find(({ status }) => status !== 'created');
    if (refused) throw new Error(`a record was refused: ${refused.status}`);
  };
  const table: Table = { title: 'Posting in batches of 1,000 transfers, durable', rows: [] };
  const limits: Limit[] = [];
  try {
    for (const workload of WORKLOADS) {
      progress(`posting: ${workload.name}`);
      const next = journalDrafts(workload, randomFrom(`${SEED}/${workload.name}`));
      await submit(openingDrafts(workload));
      const turns = { posting: [] as number[], rows: [] as number[], alone: [] as number[] };
      for (let batch = 0; batch < WARM_UP + BATCHES; batch += 1) {
        const drafts = next(1_000 / workload.transfersARecord);
        const first = (await ledger.head(database, MICROGRID)) + 1;
        const posting = await timeAsyncMillis(() => submit(drafts));
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
        single.push(await timeAsyncMillis(() => submit([draft])));
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

/** One core, no database: records sealed, and entries into the tree and its tiles. */
function measureHashing(): { tables: Table[]; limits: Limit[] } {
  progress('hashing');
  const key = randomBytes(32);
  const next = journalDrafts(WORKLOADS[0]!, randomFrom(`${SEED}/hashing`));
  const bodies = next(1_000).map((draft, index) => {
    const accounts = draft.transfers.flatMap(({ debit, credit }) => [debit, credit]);
    const counted = (names: readonly string[]) => Object.fromEntries(names.map((one) => [one, 7]));
    return recordBody(MICROGRID, index + 1, draft, {
      opens: [],
      versions: counted(accounts),
      numbers: counted(draft.households),
    });
  });
  const sealed = bodies.map((body) => sealRecord(key, body));
  const fields = bodies.reduce((sum, body) => sum + recordFields(body).length, 0) / bodies.length;
  const bytes = sealed.reduce((sum, one) => sum + one.bytes.length, 0) / bodies.length;
  const messages = bodies.map((body) => hashedMessages(key, body));
  const bareHashes = (): void => {
    for (const each of messages) for (const message of each) hash('sha256', message, 'buffer');
  };
  const seal = (): void => {
    growLog(
      bodies.map((body) => sealRecord(key, body).commitment),
      1_000,
    );
  };
  const { oursMillis, peerMillis, ratio } = compare(seal, bareHashes, { millis: 4_000, calls: 1 });
  const ready = Array.from({ length: 200 * 1_000 }, () => randomBytes(32));
  const logMillis = timeMillis(() => growLog(ready, 1_000));
  const entriesASecond = (1_000 * ready.length) / logMillis;
  return {
    tables: [
      {
        title: 'Log entries on one core, no database',
        rows: [
          {
            what: `with commitments to records of ${Math.round(fields)} fields, ${Math.round(bytes)} bytes`,
            'a second': (1_000 * bodies.length) / oursMillis,
            peer: `their ${messages[0]!.length} SHA-256 alone`,
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
  progress(`a log of ${LOG_ENTRIES} entries`);
  const log = new LogService(settings);
  const microgrid = 'log';
  await database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, starts_at)
     VALUES ($1, 'A log', 'EUR', $2)`,
    [microgrid, STARTS],
  );
  const root = await fillLog(database, microgrid);
  progress('proofs');
  const random = randomFrom(`${SEED}/proofs`);
  const proveMillis: number[] = [];
  const verifyMillis: number[] = [];
  for (let at = 0; at < PROOFS; at += 1) {
    const index = random.between(0, LOG_ENTRIES - 1);
    const started = performance.now();
    const proof = await log.proveInclusion(database, microgrid, index + 1, LOG_ENTRIES);
    const proven = performance.now();
    const hashed = leafHash(logEntry(commitmentAt(index)));
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

/** Tiles alone: proofs are made from them. @returns the root */
async function fillLog(database: DatabaseService, microgrid: string): Promise<Uint8Array> {
  const range = CompactRange.empty();
  const partial = new Map<string, Tile>();
  while (range.size < LOG_ENTRIES) {
    const size = range.size;
    const count = Math.min(TILE_WIDTH ** 2, LOG_ENTRIES - size);
    const hashes = Array.from({ length: count }, (_, at) =>
      leafHash(logEntry(commitmentAt(size + at))),
    );
    const tiles = extendTiles(size, hashes, [...partial.values()]);
    for (const each of hashes) range.append(each);
    const rows = new CopyRows(4);
    const write = ({ level, tile, hashes: bytes }: Tile): unknown =>
      rows.row().text(microgrid).int2(level).int8(tile).bytea(bytes);
    for (const tile of tiles) {
      const key = `${tile.level}/${tile.tile}`;
      if (tile.hashes.length < 32 * TILE_WIDTH) partial.set(key, tile);
      else {
        partial.delete(key);
        write(tile);
      }
    }
    if (range.size === LOG_ENTRIES) for (const tile of partial.values()) write(tile);
    const text = 'COPY log_tile (microgrid_id, level, tile, hashes) FROM STDIN (FORMAT binary)';
    await database.copyIn([{ text, rows: rows.end() }]);
  }
  return range.root();
}

function commitmentAt(index: number): Uint8Array {
  const bytes = Buffer.alloc(32);
  bytes.writeDoubleBE(index);
  return bytes;
}

await present('ledger', HELP, measure);
