import type { Sql } from '../database/database.service.js';
import type { RecordBody, StoredTransfer } from '../ledger/record.js';
import { orderId } from '../market/order.js';
import { isMadeAtClose } from '../settlement/close-slot.js';
import type { Register } from '../metering/reading.js';
import type { Period } from '../rewards/awards.js';
import { groupBy } from '../units/group-by.js';
import { BorderCheck } from './border-check.store.js';
import { readClaims } from './claims.store.js';
import { ErasedHouseholds, type Remnant } from './erased.js';
import { addRemnant, addRows, rowsByTable, type RowsByTable } from './expected-rows.js';
import { Findings, type Finding, type Row } from './finding.js';
import { History } from './history.js';
import { LogCheck } from './log-check.store.js';
import type { LogKeys } from './log-keys.js';
import { checkPublications } from './publication-check.store.js';
import { RecordOpener, type OpenedRecord, type StoredRow } from './opened-record.js';
import type { MetersTold } from './payload.js';
import { checkPayloads } from './payload-check.store.js';
import { BrokenRecord } from './slots.js';
import { checkSuspects } from './suspects.store.js';
import { exactInstant, TableRows, UnreadableTable, type RowStream } from './table-rows.store.js';
import { COVERED_TABLES, MARKET_ORDER, TABLES_AT_END, TABLES_BY_SEQUENCE } from './tables.js';
import * as store from './verify.store.js';

export interface MicrogridReport {
  microgrid: string;
  records: number;
  slots: number;
  readings: number;
  checkpoints: number;
  /** Records that a good checkpoint covers; those after it are not signed yet. */
  signed: number;
  /** Records that were erased and of which only head, log entry and transfers are left. */
  erased: number;
  /** Closed slots that are told without a household that was erased. */
  slotsInPart: number;
  findings: Finding[];
}

/** Where the journal cannot be followed any further. */
type End = 'open' | 'last record' | 'broken record' | 'gap';

/** Records read in one go. */
const PAGE = 2_000;
const MAX_FINDINGS = 20;

/** Where the journal could not be read to its end. */
const NOBODY_KNOWN: MetersTold = {
  roleOf: () => undefined,
  devicesOf: () => undefined,
  signingOf: () => undefined,
};

type BySequence = keyof typeof TABLES_BY_SEQUENCE;

/**
 * One microgrid, recomputed from its journal and readings and compared with every covered table. It
 * takes nothing from the tables that it checks. Where a record is not what was committed to, or
 * cannot follow from those before it, the story ends: what comes after is only opened, not told.
 */
export class Verification {
  private readonly findings = new Findings(MAX_FINDINGS);
  private readonly streams = new Map<BySequence, RowStream<Row>>();
  private end: End = 'open';
  private sequence = 0;
  private told = 0;

  private constructor(
    private readonly microgridId: string,
    private readonly tables: TableRows,
  ) {}

  /** @param kept checkpoints that were kept outside of the database */
  static async run(
    sql: Sql,
    microgridId: string,
    keys: LogKeys,
    kept: readonly string[],
  ): Promise<MicrogridReport> {
    const tables = await TableRows.open(sql, microgridId);
    try {
      return await new Verification(microgridId, tables).report(keys, kept);
    } finally {
      await tables.close();
    }
  }

  private async report(keys: LogKeys, kept: readonly string[]): Promise<MicrogridReport> {
    const { findings, microgridId, tables } = this;
    const report = {
      microgrid: microgridId,
      records: 0,
      slots: 0,
      readings: 0,
      checkpoints: 0,
      signed: 0,
      erased: 0,
      slotsInPart: 0,
      findings: findings.all,
    };
    try {
      const log = await LogCheck.open(microgridId, tables, findings, keys, kept);
      const erased = new ErasedHouseholds(await this.erasures());
      const history = await this.history(erased);
      await this.tell(history, erased, log);
      if (!findings.full) {
        report.readings = await checkPayloads(
          tables,
          this.end === 'last record' ? history.members : NOBODY_KNOWN,
          findings,
        );
      }
      const through = history.slots.states.closedThrough;
      if (!findings.full && this.end === 'last record' && through !== null) {
        const limitOf = (meter: string, register: Register) =>
          history.members.connectionOf(meter, register);
        await checkSuspects(tables, limitOf, history.exchanges, through, findings);
      }
      if (!findings.full) await checkPublications(microgridId, tables, findings, keys);
      report.records = this.sequence;
      report.slots = history.slots.states.closedCount;
      report.checkpoints = log.checkpoints;
      report.signed = log.signedSize;
      report.erased = erased.count;
      report.slotsInPart = history.slots.states.inPartCount;
    } catch (error) {
      if (!(error instanceof UnreadableTable)) throw error;
      findings.add(error.table, 'all', 'rows', 'a table that can be read', error.message);
    }
    return report;
  }

  private async tell(history: History, erased: ErasedHouseholds, log: LogCheck): Promise<void> {
    const { findings, tables } = this;
    const opener = new RecordOpener(this.microgridId, await this.keys(), findings);
    const borders = new BorderCheck(tables, findings, history.exchanges);
    await this.openStreams();
    while (this.end !== 'gap' && !findings.full) {
      const rows = await tables.query<StoredRow>('record_head', store.RECORDS, [
        this.sequence,
        PAGE,
      ]);
      const remnants = await this.remnants(rows, erased);
      const { records, entries } = this.openPage(rows, opener, erased, remnants);
      await log.extend(entries);
      await this.tellPage(records, history);
      await borders.check(history.slots.takeSettled());
      if (rows.length < PAGE) break;
    }
    if (findings.full) return;
    opener.end();
    if (this.end === 'gap') return;
    await log.end(erased.count);
    if (this.end === 'broken record') return;
    this.end = 'last record';
    if (!history.complete) {
      findings.add('record_head', this.sequence, 'kind', 'the end of a slot or run', 'none');
    }
    history.books.assertBalanced(findings);
    await borders.end();
    await this.compareStrays(history);
    await this.compareAtEnd(history);
  }

  /** Opens the records up to the first gap. */
  private openPage(
    rows: readonly StoredRow[],
    opener: RecordOpener,
    erased: ErasedHouseholds,
    remnants: ReadonlyMap<number, Remnant>,
  ) {
    const records: (OpenedRecord | null)[] = [];
    const entries: Uint8Array[] = [];
    for (const row of rows) {
      const expected = this.sequence + 1;
      if (!this.findings.same('record_head', expected, 'sequence', expected, row.sequence)) {
        this.end = 'gap';
        break;
      }
      this.sequence = row.sequence;
      const stored = { ...row, at: exactInstant(row.at) };
      const remnant = remnants.get(row.sequence);
      if (remnant) {
        records.push(erased.open(stored, this.microgridId, remnant));
        entries.push(opener.entryOf(stored));
        continue;
      }
      const { record, entry } = opener.open(stored);
      records.push(record);
      entries.push(entry);
    }
    return { records, entries };
  }

  /** What stays of the records that have no body because their household was erased. */
  private async remnants(
    rows: readonly StoredRow[],
    erased: ErasedHouseholds,
  ): Promise<Map<number, Remnant>> {
    const remnants = new Map<number, Remnant>();
    const missing = rows.filter(({ bytes }) => bytes === null).map(({ sequence }) => sequence);
    if (missing.length === 0 || erased.households.length === 0) return remnants;
    const concerned = await this.tables.query<{ sequence: number; household: string }>(
      'record_household',
      store.CONCERNED,
      [erased.households, missing],
    );
    for (const [sequence, ones] of groupBy(concerned, (one) => one.sequence)) {
      const household = erased.ownerOf(
        sequence,
        ones.map((one) => one.household),
      );
      if (household !== null) remnants.set(sequence, { household, transfers: [] });
    }
    const transfers = await this.tables.query<StoredTransfer & { sequence: number }>(
      'transfer',
      store.TRANSFERS,
      [[...remnants.keys()]],
    );
    for (const { sequence, pending, ...transfer } of transfers) {
      const stored = pending === null ? transfer : { ...transfer, pending };
      remnants.get(sequence)!.transfers.push(stored as StoredTransfer);
    }
    return remnants;
  }

  private async erasures(): Promise<{ sequence: number; facts: unknown }[]> {
    const rows = await this.tables.query<{ sequence: number; bytes: Buffer }>(
      'record_body',
      store.ERASURES,
    );
    return rows.flatMap(({ sequence, bytes }) => {
      try {
        return [{ sequence, facts: (JSON.parse(bytes.toString('utf8')) as RecordBody).facts }];
      } catch {
        // It tells nothing, and will be found so in its turn.
        return [];
      }
    });
  }

  /** Tells the records as far as each follows from the ones before, and compares what they left. */
  private async tellPage(
    records: readonly (OpenedRecord | null)[],
    history: History,
  ): Promise<void> {
    const rows = rowsByTable();
    for (const record of records) {
      if (this.end === 'broken record' || !record) {
        if (this.end === 'open') this.end = 'broken record';
        break;
      }
      if (!(await this.follows(record, history, rows))) break;
      this.told = record.body.sequence;
    }
    for (const name of Object.keys(rows) as BySequence[]) {
      const found = await this.streams
        .get(name)!
        .takeWhile((row) => Number(row['sequence']) <= this.told);
      this.findings.sameRows(TABLES_BY_SEQUENCE[name], rows[name], found);
    }
    const finished = history.orders.takeFinished();
    await this.compareOrders(finished);
  }

  /** Whether the record could be told; with it goes what it left in tables. */
  private async follows(
    record: OpenedRecord,
    history: History,
    rows: RowsByTable,
  ): Promise<boolean> {
    try {
      await history.apply(record);
      if (record.erased) addRemnant(rows, record.body, true);
      else {
        const { microgrid } = history.members;
        addRows(rows, record.body, microgrid !== null && isMadeAtClose(microgrid));
      }
      return true;
    } catch (error) {
      if (isOfTheDatabase(error)) throw error;
      const sequence = error instanceof BrokenRecord ? error.sequence : record.body.sequence;
      const found = error instanceof Error ? error.message : String(error);
      this.findings.add('record_body', sequence, 'facts', 'what earlier records allow', found);
      this.end = 'broken record';
      return false;
    }
  }

  private async compareOrders(expected: readonly Row[]): Promise<void> {
    if (expected.length === 0) return;
    const { table } = MARKET_ORDER;
    const ids = expected.map((row) => row['order_id']);
    const found = await this.tables.rows(table, store.ORDER_IDS, [ids]);
    for (const row of found) {
      const [person, key] = [String(row['placed_by']), String(row['idempotency_key'])];
      const id = String(row['order_id']);
      const named = orderId(this.microgridId, person, key);
      this.findings.same(table, id, 'placed_by, idempotency_key', named, id);
    }
    this.findings.sameRows(MARKET_ORDER, expected, found);
  }

  /** Rows beyond the last record, and orders that no record placed. */
  private async compareStrays(history: History): Promise<void> {
    for (const [name, stream] of this.streams) {
      let taken = 0;
      const found = await stream.takeWhile(() => (taken += 1) <= MAX_FINDINGS);
      this.findings.sameRows(TABLES_BY_SEQUENCE[name], [], found);
    }
    await this.compareOrders(history.orders.openRows());
    const { table } = MARKET_ORDER;
    const placed = history.orders.count;
    this.findings.same(table, 'all', 'number of rows', placed, await this.tables.count(table));
  }

  private async compareAtEnd(history: History): Promise<void> {
    const expected = history.rowsAtEnd();
    for (const name of Object.keys(expected) as (keyof typeof TABLES_AT_END)[]) {
      const covered = TABLES_AT_END[name];
      const found = await this.tables.rows(covered.table);
      this.findings.sameRows(covered, expected[name], found);
      if (name === 'programMember') history.programs.assertKeys(found);
    }
    if (history.members.microgrid) return;
    // Rows under a name that no journal founds.
    for (const { table } of COVERED_TABLES) {
      if ((await this.tables.count(table)) === 0) continue;
      const expectedName = 'a microgrid that its journal founds';
      this.findings.add(table, 'all', 'microgrid_id', expectedName, this.microgridId);
    }
  }

  private async openStreams(): Promise<void> {
    for (const [name, { table, key }] of Object.entries(TABLES_BY_SEQUENCE)) {
      const order = ['sequence', ...key].filter((column, at, all) => all.indexOf(column) === at);
      this.streams.set(
        name as BySequence,
        await this.tables.inOrder(table, order.map((column) => `${table}.${column}`).join(', ')),
      );
    }
  }

  private async keys(): Promise<Map<string, Uint8Array>> {
    const keys = await this.tables.query<{ holder: string; key: Uint8Array }>(
      'record_key',
      store.KEYS,
    );
    return new Map(keys.map(({ holder, key }) => [holder, key]));
  }

  private async history(erased: ErasedHouseholds): Promise<History> {
    const { tables } = this;
    const programs = await tables.query<{ program: string; key: Uint8Array }>(
      'program',
      store.PROGRAM_KEYS,
    );
    const records = async (spans: readonly [number, number][]) => {
      const rows = await tables.query<{ bytes: Buffer }>('record_body', store.BODIES, [
        spans.map(([first]) => first),
        spans.map(([, last]) => last),
      ]);
      return rows.map(({ bytes }) => JSON.parse(bytes.toString('utf8')) as RecordBody);
    };
    const claims = (period: Period, before: number) => readClaims(tables, period, before);
    const keys = new Map(programs.map(({ program, key }) => [program, key]));
    return new History(this.findings, keys, erased, { records, claims });
  }
}

/** A lost connection or a full disk is no finding. */
function isOfTheDatabase(error: unknown): boolean {
  return (
    error instanceof UnreadableTable || (error as { code?: unknown } | null)?.code !== undefined
  );
}
