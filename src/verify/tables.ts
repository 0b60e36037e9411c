/**
 * Which tables `verify` holds against the journal, by which key, and which of their columns it knows
 * nothing about. A column that is not named here and that no record explains stops verify, so that
 * a new one cannot be forgotten. `docs/verify.md` lists the same.
 */
export interface CoveredTable {
  table: string;
  key: readonly string[];
  /** Column and why nothing vouches for it. */
  uncovered: Readonly<Record<string, string>>;
}

const PERSONAL = 'personal: the journal names households by id alone';

/** Rows that belong to one record, compared as the journal is read. */
export const TABLES_BY_SEQUENCE = {
  transfer: { table: 'transfer', key: ['sequence', 'line'], uncovered: {} },
  recordHousehold: { table: 'record_household', key: ['sequence', 'household_id'], uncovered: {} },
  measurement: {
    table: 'measurement',
    key: ['slot_start', 'household_id', 'revision'],
    uncovered: {},
  },
  settlement: {
    table: 'settlement',
    key: ['slot_start', 'household_id', 'revision'],
    uncovered: {},
  },
  trade: { table: 'trade', key: ['slot_start', 'number', 'revision'], uncovered: {} },
  tradeSettlement: {
    table: 'trade_settlement',
    key: ['slot_start', 'number', 'revision'],
    uncovered: {},
  },
} as const satisfies Record<string, CoveredTable>;

/** Tables compared whole, once the journal has been read. */
export const TABLES_AT_END = {
  account: { table: 'account', key: ['account_id'], uncovered: {} },
  microgrid: { table: 'microgrid', key: ['microgrid_id'], uncovered: { name: PERSONAL } },
  household: {
    table: 'household',
    key: ['household_id'],
    uncovered: { alias: PERSONAL, feeder: PERSONAL },
  },
  gateway: { table: 'gateway', key: ['gateway_id'], uncovered: {} },
  meter: { table: 'meter', key: ['meter_id'], uncovered: {} },
  tariff: { table: 'tariff', key: ['valid_from', 'from_minute'], uncovered: {} },
  standingOrder: {
    table: 'standing_order',
    key: ['household_id', 'valid_from'],
    uncovered: {},
  },
  marketOrder: { table: 'market_order', key: ['order_id'], uncovered: {} },
  tradedSlot: { table: 'traded_slot', key: ['slot_start'], uncovered: {} },
  slot: {
    table: 'slot',
    key: ['slot_start'],
    uncovered: { reason: "a message for the operator, not a part of the slot's outcome" },
  },
  storageLot: {
    table: 'storage_lot',
    key: ['household_id', 'charged_in', 'source'],
    uncovered: {},
  },
  program: {
    table: 'program',
    key: ['program_id'],
    uncovered: { name: 'a title', created_by: 'in the record as the one who acted' },
  },
  programFunding: {
    table: 'program_funding',
    key: ['program_id', 'reference'],
    uncovered: { funded_by: 'not in the record: a deposit names no person' },
  },
  programMember: {
    table: 'program_member',
    key: ['program_id', 'household_id', 'joined_from'],
    uncovered: { consented_by: 'in the record as the one who acted' },
  },
  programRun: { table: 'program_run', key: ['program_id', 'period_from'], uncovered: {} },
  award: { table: 'award', key: ['program_id', 'period_from', 'household_id'], uncovered: {} },
} as const satisfies Record<string, CoveredTable>;

/** Tables with a rule of their own in `verify.service.ts`, and their uncovered columns. */
export const TABLES_WITH_RULES: readonly CoveredTable[] = [
  { table: 'record_head', key: ['sequence'], uncovered: {} },
  { table: 'record_body', key: ['sequence'], uncovered: {} },
  { table: 'record_key', key: ['key_holder'], uncovered: {} },
  { table: 'log_entry', key: ['entry_index'], uncovered: {} },
  { table: 'log_tile', key: ['level', 'tile'], uncovered: {} },
  { table: 'checkpoint', key: ['size'], uncovered: {} },
  {
    table: 'journal_head',
    key: ['microgrid_id'],
    uncovered: {
      lease_holder: 'which instance works at present',
      lease_epoch: 'which instance works at present',
      lease_until: 'which instance works at present',
    },
  },
  {
    table: 'register_border',
    key: ['border_at', 'meter_id', 'register', 'revision'],
    uncovered: {},
  },
  { table: 'reading', key: ['meter_id', 'register', 'read_at'], uncovered: {} },
  {
    table: 'reading_payload',
    key: ['payload_hash'],
    uncovered: { received_at: 'when it arrived, by the clock of the machine' },
  },
  {
    table: 'reading_contradiction',
    key: ['meter_id', 'register', 'read_at', 'value_wh'],
    uncovered: {},
  },
];
