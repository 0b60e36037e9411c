import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { logEntry, type RecordBody } from '../ledger/record.js';
import { LogService } from '../ledger/log.service.js';
import { orderId } from '../market/order.js';
import { openCheckpoint } from '../transparency/checkpoint.js';
import { CompactRange, leafHash } from '../transparency/merkle-tree.js';
import { parseVerifierKey } from '../transparency/signed-note.js';
import { extendTiles, partialTilesOf, type Tile } from '../transparency/tile.js';
import type { HouseholdFacts } from '../settlement/slot-facts.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import { Books } from './books.js';
import { addRows, rowsByTable, type RowsByTable } from './expected-rows.js';
import { Findings, type Finding, type Row } from './finding.js';
import { Members } from './members.js';
import { OrderBook } from './order-book.js';
import { Programs } from './programs.js';
import {
  assertBorders,
  assertPayload,
  hashReadings,
  namedReadings,
  payloadHash,
  type ReadingsByHash,
  type ReadingWithPayload,
  type StoredReading,
} from './readings.js';
import { Slots, type Expectation } from './slots.js';
import { TABLES_AT_END, TABLES_BY_SEQUENCE } from './tables.js';
import { compareRecord, openRecord, type StoredRow } from './verify-journal.js';
import * as store from './verify.store.js';

export interface MicrogridReport {
  microgrid: string;
  records: number;
  slots: number;
  readings: number;
  checkpoints: number;
  findings: Finding[];
}

/** Records read in one go. */
const PAGE = 5_000;
const READINGS_A_PAGE = 20_000;
const MAX_FINDINGS = 20;

/**
 * Recomputes a microgrid from its journal and readings and compares every table that `tables.ts`
 * lists. It posts transfers one by one, settles every slot again and hashes everything again; it
 * takes nothing from the tables that it checks.
 */
@Injectable()
export class VerifyService {
  constructor(
    private readonly database: DatabaseService,
    private readonly log: LogService,
  ) {}

  async microgrids(): Promise<string[]> {
    const rows = await this.database.query<{ id: string }>(store.MICROGRIDS);
    return rows.map(({ id }) => id);
  }

  /** One consistent look at a microgrid: everything is read in one transaction. */
  async verify(microgridId: string): Promise<MicrogridReport> {
    return this.database.transaction(async (sql) => {
      await sql.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
      return new Verification(sql, microgridId, this.log).run();
    });
  }
}

class Verification {
  private readonly findings = new Findings(MAX_FINDINGS);
  private readonly books = new Books();
  private readonly members = new Members();
  private readonly orders = new OrderBook();
  private readonly slots: Slots;
  private readonly range = CompactRange.empty();
  private readonly signedRoots = new Map<number, Uint8Array>();
  private programs = new Programs(new Map());
  private keys = new Map<string, Uint8Array>();
  private readonly usedKeys = new Set<string>();
  private readonly keyHolders = new Map<number, string | null>();
  private partial: readonly Tile[] = [];
  private borders = 0;
  private sequence = 0;

  constructor(
    private readonly sql: Sql,
    private readonly microgridId: string,
    private readonly log: LogService,
  ) {
    this.slots = new Slots(this.members, this.orders, this.books, (spans) => this.bodies(spans));
  }

  async run(): Promise<MicrogridReport> {
    const { sql, microgridId, findings } = this;
    await this.readKeys();
    const checkpoints = await this.readCheckpoints();
    for (;;) {
      const page = await sql.query<StoredRow>(store.RECORDS, [microgridId, this.sequence, PAGE]);
      await this.verifyPage(page);
      if (page.length < PAGE || findings.full) break;
    }
    let readings = 0;
    if (!findings.full) {
      if (this.slots.pending) {
        findings.add('record_head', this.sequence, 'kind', 'the end of a slot', 'the journal ends');
      }
      this.books.assertBalanced(findings);
      await this.verifyLog();
      await this.verifyTablesAtEnd();
      readings = await this.verifyReadings();
    }
    return {
      microgrid: microgridId,
      records: this.sequence,
      slots: this.slots.closedSlots().length,
      readings,
      checkpoints,
      findings: findings.all,
    };
  }

  private async verifyPage(page: readonly StoredRow[]): Promise<void> {
    const { findings, microgridId } = this;
    const before = this.sequence;
    const rows = rowsByTable();
    const bodies: RecordBody[] = [];
    for (const row of page) {
      if (
        !findings.same('record_head', row.sequence, 'sequence', this.sequence + 1, row.sequence)
      ) {
        return;
      }
      this.sequence = row.sequence;
      this.usedKeys.add(row.keyHolder ?? '');
      this.keyHolders.set(row.sequence, row.keyHolder);
      const body = openRecord(microgridId, row, this.keys, findings);
      if (body) bodies.push(body);
    }
    if (findings.full) return;
    await this.verifyEntries(page.map(({ commitment }) => leafHash(logEntry(commitment))));
    for (const body of bodies) {
      await this.apply(body);
      addRows(rows, body, this.members.microgrid?.mechanism !== 'call-auction');
    }
    await this.verifyRows(rows, before);
    await this.verifyBorders(bodies);
  }

  /** Takes a record into the books, after comparing it with what it had to be. */
  private async apply(body: RecordBody): Promise<void> {
    const { findings } = this;
    this.members.apply(body);
    this.programs.apply(body);
    const isOrder = body.kind === 'order' && body.facts['action'] !== 'limits';
    if (isOrder || body.kind === 'gate') {
      this.compare(body, this.orders.expected(body, this.members, this.books));
    }
    if (body.kind === 'deposit') this.programs.assertDeposit(body, findings);
    if (body.kind === 'award') {
      this.programs.assertAward(body, findings);
      await this.assertClaim(body);
    }
    const expectation = await this.slots.take(body, findings);
    if (expectation) this.compareSlot(expectation);
    if (!this.slots.pending && !expectation) this.books.post(body, findings);
  }

  /** The records of a slot are compared together, and only then posted. */
  private compareSlot({ bodies, drafts }: Expectation): void {
    this.findings.same(
      'record_body',
      bodies.at(-1)!.sequence,
      'number of records of the slot',
      drafts.length,
      bodies.length,
    );
    bodies.forEach((body, index) => {
      this.compare(body, drafts[index] ?? null);
      this.books.post(body, this.findings);
    });
  }

  private compare(body: RecordBody, draft: Parameters<typeof compareRecord>[2] | null): void {
    if (draft === null) {
      this.findings.add('record_body', body.sequence, 'facts', 'what its order allows', body.cause);
      return;
    }
    compareRecord(body, this.keyHolders.get(body.sequence) ?? null, draft, this.findings);
  }

  private async assertClaim({ facts, sequence }: RecordBody): Promise<void> {
    const [claimed] = await this.sql.query<{ claimedWh: number }>(store.CLAIMED_BEFORE, [
      this.microgridId,
      facts['household'],
      sequence,
      facts['periodFrom'],
      facts['periodTo'],
    ]);
    // Of a member for a part of the period only that part counts.
    if (Number(facts['claimedWh']) > claimed!.claimedWh) {
      this.findings.add('award', sequence, 'claimed_wh', claimed!.claimedWh, facts['claimedWh']);
    }
  }

  private async verifyEntries(hashes: readonly Uint8Array[]): Promise<void> {
    if (hashes.length === 0) return;
    const size = this.range.size;
    const tiles = extendTiles(size, hashes, this.partial);
    for (const hash of hashes) {
      this.range.append(hash);
      const signed = this.signedRoots.get(this.range.size);
      if (signed) {
        this.findings.same('checkpoint', this.range.size, 'root', this.range.root(), signed);
      }
    }
    const edge = partialTilesOf(this.range.size);
    const isPartial = ({ level, tile }: Tile) =>
      edge.some((one) => one.level === level && one.tile === tile);
    const carried = this.partial.filter(
      (old) => isPartial(old) && !tiles.some((one) => one.level === old.level),
    );
    this.partial = [...carried, ...tiles.filter(isPartial)];
    await this.compareTiles(tiles.filter((tile) => !isPartial(tile)));
  }

  private async compareTiles(tiles: readonly Tile[]): Promise<void> {
    const stored = await this.sql.query<Tile>(store.TILES, [
      this.microgridId,
      tiles.map(({ level }) => level),
      tiles.map(({ tile }) => tile),
    ]);
    const found = new Map(stored.map((one) => [`${one.level}/${one.tile}`, one.hashes]));
    for (const { level, tile, hashes } of tiles) {
      const name = `${level}/${tile}`;
      this.findings.same('log_tile', name, 'hashes', hashes, found.get(name));
    }
  }

  private async verifyRows(rows: RowsByTable, before: number): Promise<void> {
    for (const name of Object.keys(rows) as (keyof RowsByTable)[]) {
      const covered = TABLES_BY_SEQUENCE[name];
      const found = await this.sql.query<Row>(store.rowsOfRecords(covered.table), [
        this.microgridId,
        before,
        this.sequence,
      ]);
      this.findings.sameRows(
        { ...covered, uncovered: Object.keys(covered.uncovered) },
        rows[name],
        found,
      );
    }
  }

  /** Registers of the page against the border table, and against the readings they name. */
  private async verifyBorders(bodies: readonly RecordBody[]): Promise<void> {
    const { findings, sql, microgridId } = this;
    const withRegisters = bodies.filter(
      ({ kind, facts }) =>
        kind === 'household-slot' || (kind === 'correction' && 'household' in facts),
    );
    if (withRegisters.length === 0) return;
    const expected = withRegisters.flatMap(({ facts }) => borderRows(facts as HouseholdFacts));
    this.borders += expected.length;
    const found = await sql.query<Row>(store.BORDERS, [
      microgridId,
      expected.map((row) => row['border_at']),
      expected.map((row) => row['meter_id']),
      expected.map((row) => row['register']),
      expected.map((row) => row['revision']),
    ]);
    findings.sameRows(
      {
        table: 'register_border',
        key: ['border_at', 'meter_id', 'register', 'revision'],
        // The last real reading is looked up among the readings.
        uncovered: ['real_at', 'real_wh'],
      },
      expected,
      found,
    );
    const readings = await this.readingsFor(
      withRegisters.map(({ facts }) => facts as HouseholdFacts),
    );
    for (const { sequence, facts } of withRegisters) {
      assertBorders(sequence, facts as HouseholdFacts, readings, findings);
    }
  }

  /** The readings around the slots, and further ones only for meters whose readings lie elsewhere. */
  private async readingsFor(facts: readonly HouseholdFacts[]): Promise<ReadingsByHash> {
    const starts = facts.map(({ slot }) => parseInstant(slot));
    const ends = facts.map(({ slotEnd }) => parseInstant(slotEnd));
    const from = starts.reduce((a, b) => Math.min(a, b)) - 3_600_000;
    const to = ends.reduce((a, b) => Math.max(a, b)) + 3_600_000;
    const meters = new Set(facts.flatMap(({ registers }) => registers.map(({ meter }) => meter)));
    const read = async (of: readonly string[], fromMillis: number, toMillis: number) =>
      hashReadings(
        await this.sql.query<StoredReading>(store.READINGS, [
          this.microgridId,
          of,
          formatInstant(fromMillis),
          formatInstant(toMillis),
        ]),
      );
    const near = await read([...meters], from, to);
    const far = new Set(
      facts
        .filter((one) => namedReadings(one).some((hash) => !near.has(hash)))
        .flatMap(({ registers }) => registers.map(({ meter }) => meter)),
    );
    if (far.size === 0) return near;
    const window = 400 * 86_400_000;
    return new Map([...near, ...(await read([...far], from - window, to + window))]);
  }

  private async verifyLog(): Promise<void> {
    const { findings, sql, microgridId } = this;
    await this.compareTiles(this.partial);
    const [head] = await sql.query<{ sequence: number; logEdge: Uint8Array }>(store.HEAD, [
      microgridId,
    ]);
    findings.same('journal_head', microgridId, 'sequence', this.sequence, head?.sequence ?? 0);
    findings.same(
      'journal_head',
      microgridId,
      'log_edge',
      this.range.toBytes(),
      head?.logEdge ?? [],
    );
    const [counts] = await sql.query<{
      bodies: number;
      entries: number;
      tiles: number;
      borders: number;
      keys: number;
    }>(store.COUNTS, [microgridId]);
    const tiles = tileCount(this.sequence);
    findings.same('record_body', 'all', 'number of rows', this.sequence, counts!.bodies);
    findings.same('log_entry', 'all', 'number of rows', this.sequence, counts!.entries);
    findings.same('log_tile', 'all', 'number of rows', tiles, counts!.tiles);
    findings.same('register_border', 'all', 'number of rows', this.borders, counts!.borders);
    for (const size of this.signedRoots.keys()) {
      if (size > this.sequence) findings.add('checkpoint', size, 'size', this.sequence, size);
    }
    for (const holder of this.keys.keys()) {
      if (!this.usedKeys.has(holder)) {
        findings.add('record_key', holder, 'key_holder', 'a holder that a record names', holder);
      }
    }
    for (const covered of Object.values(TABLES_BY_SEQUENCE)) {
      const [stray] = await sql.query<{ sequence: number }>(store.strayRows(covered.table), [
        microgridId,
        this.sequence,
      ]);
      if (stray)
        findings.add(covered.table, stray.sequence, 'sequence', 'a record', stray.sequence);
    }
  }

  private async verifyTablesAtEnd(): Promise<void> {
    const { members, books, orders, slots, programs } = this;
    const metered = new Set(members.microgrid?.mechanism === 'metered' ? slots.closedSlots() : []);
    const expected: Record<keyof typeof TABLES_AT_END, Row[]> = {
      account: books.rows(),
      microgrid: members.microgridRows(),
      household: members.householdRows(),
      gateway: members.gatewayRows(),
      meter: members.meterRows(),
      tariff: members.tariffRows(),
      standingOrder: members.standingOrderRows(),
      marketOrder: orders.rows(),
      tradedSlot: slots.tradedSlotRows(metered),
      slot: slots.slotRows(),
      storageLot: slots.lotRows(),
      program: programs.programRows(),
      programFunding: programs.fundingRows(),
      programMember: programs.memberRows(),
      programRun: programs.runRows(),
      award: programs.awardRows(),
    };
    for (const name of Object.keys(expected) as (keyof typeof TABLES_AT_END)[]) {
      const covered = TABLES_AT_END[name];
      const found = await this.sql.query<Row>(store.allRows(covered.table), [this.microgridId]);
      if (name === 'marketOrder') this.verifyOrderIds(found);
      this.findings.sameRows(
        {
          ...covered,
          uncovered: [
            ...Object.keys(covered.uncovered),
            ...(name === 'marketOrder' ? ['placed_by', 'idempotency_key', 'request_hash'] : []),
          ],
        },
        expected[name],
        found,
      );
    }
  }

  /** An order's id is hashed from who placed it and the key they chose. */
  private verifyOrderIds(rows: readonly Row[]): void {
    for (const row of rows) {
      const [person, key] = [String(row['placed_by']), String(row['idempotency_key'])];
      this.findings.same(
        'market_order',
        String(row['order_id']),
        'placed_by, idempotency_key',
        orderId(this.microgridId, person, key),
        row['order_id'],
      );
    }
  }

  /** Every reading and contradiction stands in its payload, and every payload has its hash. */
  private async verifyReadings(): Promise<number> {
    const { sql, microgridId, findings } = this;
    let count = 0;
    let last: [string, string, string] = ['', '', '-infinity'];
    for (;;) {
      const page = await sql.query<ReadingWithPayload>(store.READINGS_WITH_PAYLOAD, [
        microgridId,
        ...last,
        READINGS_A_PAGE,
      ]);
      const decoded = new Map<string, ReadonlySet<string>>();
      for (const reading of page) assertPayload('reading', reading, decoded, findings);
      count += page.length;
      if (page.length < READINGS_A_PAGE) break;
      const { meter, register, readAt } = page.at(-1)!;
      last = [meter, register, readAt];
    }
    const decoded = new Map<string, ReadonlySet<string>>();
    for (const row of await sql.query<ReadingWithPayload>(store.CONTRADICTIONS_WITH_PAYLOAD, [
      microgridId,
    ])) {
      assertPayload('reading_contradiction', row, decoded, findings);
    }
    await this.verifyPayloads();
    const unreal = await sql.query<Record<string, unknown>>(store.UNREAL_BORDERS, [microgridId]);
    for (const { borderAt, meter, register, revision, realAt, realWh } of unreal) {
      const row = [borderAt, meter, register, revision].join(' ');
      const found = `${String(realAt)} ${String(realWh)}`;
      findings.add('register_border', row, 'real_at, real_wh', 'a reading', found);
    }
    return count;
  }

  private async verifyPayloads(): Promise<void> {
    let last: Uint8Array = Buffer.alloc(0);
    for (;;) {
      const page = await this.sql.query<{ payloadHash: Buffer; bytes: Buffer }>(store.PAYLOADS, [
        this.microgridId,
        last,
        READINGS_A_PAGE,
      ]);
      for (const row of page) {
        const name = row.payloadHash.toString('hex');
        this.findings.same(
          'reading_payload',
          name,
          'bytes',
          row.payloadHash,
          payloadHash(row.bytes),
        );
      }
      if (page.length < READINGS_A_PAGE) return;
      last = page.at(-1)!.payloadHash;
    }
  }

  private async readKeys(): Promise<void> {
    const keys = await this.sql.query<{ holder: string; key: Uint8Array }>(store.KEYS, [
      this.microgridId,
    ]);
    this.keys = new Map(keys.map(({ holder, key }) => [holder, key]));
    const programs = await this.sql.query<{ program_id: string; pseudonym_key: Uint8Array }>(
      store.allRows('program'),
      [this.microgridId],
    );
    this.programs = new Programs(
      new Map(programs.map((row) => [row.program_id, row.pseudonym_key])),
    );
  }

  /** Checks every checkpoint's signature now; its root when the tree has reached its size. */
  private async readCheckpoints(): Promise<number> {
    const { microgridId, findings } = this;
    const origin = this.log.origin(microgridId);
    const key = parseVerifierKey(this.log.verifierKey(microgridId));
    let count = 0;
    for (let after = 0; ;) {
      const page = await this.sql.query<{ size: number; root: Uint8Array; note: string }>(
        store.CHECKPOINTS,
        [microgridId, after, PAGE],
      );
      for (const { size, root, note } of page) {
        this.signedRoots.set(size, root);
        const verdict = readNote(note, origin, key);
        if (typeof verdict === 'string') {
          findings.add('checkpoint', size, 'note', 'a note signed by the log', verdict);
          continue;
        }
        findings.same('checkpoint', size, 'size', verdict.size, size);
        findings.same('checkpoint', size, 'root', verdict.root, root);
      }
      count += page.length;
      if (page.length < PAGE) return count;
      after = page.at(-1)!.size;
    }
  }

  private async bodies(spans: readonly [number, number][]): Promise<RecordBody[]> {
    const rows = await this.sql.query<{ bytes: Buffer }>(store.BODIES, [
      this.microgridId,
      spans.map(([first]) => first),
      spans.map(([, last]) => last),
    ]);
    return rows.map(({ bytes }) => JSON.parse(bytes.toString('utf8')) as RecordBody);
  }
}

function borderRows(facts: HouseholdFacts): Row[] {
  return facts.registers
    .filter(({ endWh }) => endWh !== null)
    .map((one) => ({
      border_at: facts.slotEnd,
      meter_id: one.meter,
      register: one.register,
      revision: facts.revision ?? 0,
      value_wh: one.endWh,
      quality: one.endQuality,
      start_wh: one.startWh,
      start_quality: one.startQuality,
    }));
}

function readNote(note: string, origin: string, log: ReturnType<typeof parseVerifierKey>) {
  try {
    const verdict = openCheckpoint(note, { origin, log });
    return verdict.outcome === 'verified' ? verdict.checkpoint : verdict.outcome;
  } catch (error) {
    return error instanceof Error ? error.message : 'malformed';
  }
}

function tileCount(size: number): number {
  let count = 0;
  for (let hashes = size; hashes > 0; hashes = Math.floor(hashes / 256)) {
    count += Math.ceil(hashes / 256);
  }
  return count;
}
