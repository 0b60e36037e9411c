/**
 * Which tables `verify` holds against the journal, by which key, and which of their columns nothing
 * vouches for. A column that is neither named here nor explained by a record is a finding, so that a
 * new one cannot be forgotten. `docs/verify.md` lists the same.
 */
export interface CoveredTable {
  table: string;
  key: readonly string[];
  /** Column and why nothing vouches for it. */
  uncovered: Readonly<Record<string, string>>;
}

const PERSONAL = 'personal: the journal names households by their ids alone';

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
  trueUp: {
    table: 'true_up',
    key: ['household_id', 'border_at', 'revision'],
    uncovered: {},
  },
  trade: { table: 'trade', key: ['slot_start', 'number', 'revision'], uncovered: {} },
  tradeSettlement: {
    table: 'trade_settlement',
    key: ['slot_start', 'number', 'revision'],
    uncovered: {},
  },
} as const satisfies Record<string, CoveredTable>;

/** Orders are compared once they are filled or taken back; those still open, at the end. */
export const MARKET_ORDER = {
  table: 'market_order',
  key: ['order_id'],
  uncovered: {},
} as const satisfies CoveredTable;

const JUDGED_FROM = 'where judging goes on; which readings count is judged again from the first on';

export const REGISTER_BORDER = {
  table: 'register_border',
  key: ['border_at', 'meter_id', 'register', 'revision'],
  uncovered: { anchor_at: JUDGED_FROM, anchor_wh: JUDGED_FROM },
} as const satisfies CoveredTable;

/** Tables compared whole, once the journal has been read. */
export const TABLES_AT_END = {
  account: { table: 'account', key: ['account_id'], uncovered: {} },
  microgrid: {
    table: 'microgrid',
    key: ['microgrid_id'],
    uncovered: { name: 'a title; the id is what counts' },
  },
  household: {
    table: 'household',
    key: ['household_id'],
    uncovered: { alias: PERSONAL },
  },
  gateway: { table: 'gateway', key: ['gateway_id'], uncovered: {} },
  meter: { table: 'meter', key: ['meter_id'], uncovered: {} },
  meterExchange: {
    table: 'meter_exchange',
    key: ['meter_id', 'register', 'exchanged_at'],
    uncovered: {},
  },
  meterKey: { table: 'meter_key', key: ['meter_id', 'number'], uncovered: {} },
  meterProfile: { table: 'meter_profile', key: ['meter_id'], uncovered: {} },
  tariff: { table: 'tariff', key: ['valid_from', 'from_minute'], uncovered: {} },
  networkNode: { table: 'network_node', key: ['valid_from', 'node_id'], uncovered: {} },
  standingOrder: {
    table: 'standing_order',
    key: ['household_id', 'valid_from'],
    uncovered: {},
  },
  erasure: { table: 'erasure', key: ['household_id'], uncovered: {} },
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
  manifestState: { table: 'manifest_state', key: ['microgrid_id'], uncovered: {} },
  program: {
    table: 'program',
    key: ['program_id'],
    uncovered: { name: 'a title; the id is what counts' },
  },
  programFunding: {
    table: 'program_funding',
    key: ['program_id', 'reference'],
    uncovered: { funded_by: 'not in the record: a deposit names no person' },
  },
  programMember: {
    table: 'program_member',
    key: ['program_id', 'household_id', 'joined_from'],
    uncovered: {},
  },
  programRun: { table: 'program_run', key: ['program_id', 'period_from'], uncovered: {} },
  award: { table: 'award', key: ['program_id', 'period_from', 'household_id'], uncovered: {} },
} as const satisfies Record<string, CoveredTable>;

/** Tables of the journal, its log and the readings, each with rules of its own. */
const TABLES_WITH_RULES: readonly CoveredTable[] = [
  { table: 'record_head', key: ['sequence'], uncovered: {} },
  { table: 'record_body', key: ['sequence'], uncovered: {} },
  { table: 'record_key', key: ['key_holder'], uncovered: {} },
  { table: 'log_entry', key: ['entry_index'], uncovered: {} },
  { table: 'log_tile', key: ['level', 'tile'], uncovered: {} },
  { table: 'checkpoint', key: ['size'], uncovered: {} },
  { table: 'publication', key: ['size'], uncovered: {} },
  { table: 'log_policy', key: ['policy_hash'], uncovered: {} },
  {
    table: 'journal_head',
    key: ['microgrid_id'],
    uncovered: {
      lease_holder: 'which instance works at present',
      lease_epoch: 'which instance works at present',
      lease_until: 'which instance works at present',
    },
  },
  REGISTER_BORDER,
  MARKET_ORDER,
  { table: 'reading', key: ['meter_id', 'register', 'read_at'], uncovered: {} },
  {
    table: 'reading_payload',
    key: ['payload_hash'],
    uncovered: { received_at: 'when it arrived, by the clock of the machine' },
  },
  { table: 'suspect_reading', key: ['meter_id', 'register', 'read_at'], uncovered: {} },
  {
    table: 'reading_contradiction',
    key: ['meter_id', 'register', 'read_at', 'value_wh'],
    uncovered: {},
  },
];

/** Every covered table. */
export const COVERED_TABLES: readonly CoveredTable[] = [
  ...TABLES_WITH_RULES,
  ...Object.values(TABLES_BY_SEQUENCE),
  ...Object.values(TABLES_AT_END),
];

/** Tables that nothing in the journal vouches for, and why not. */
export const UNCOVERED_TABLES: Readonly<Record<string, string>> = {
  party: 'one namespace for all ids; those of households, gateways and meters stand in the journal',
  person: PERSONAL,
  person_grant:
    'who may see and do what; each change of it is in the journal as an operator action',
  session: 'tokens that end by themselves',
  spent_refresh: 'tokens that end by themselves',
  invitation: 'tokens that end by themselves',
  mqtt_credential: 'hashed secrets of devices',
  meter_claim: 'hashed codes that end by themselves; that one was made or used is in the journal',
  market_clock: 'where the simulated clock stands',
  rejection: 'what was refused and never counted',
  meter_counter:
    'how far signed messages have counted; at worst one is taken twice, and what was read at an instant counts once',
  late_reading: 'work in hand: where readings came late and slots are to be looked at again',
  regulator_query: "a log of questions: it is kept for the households and is not the ledger's",
  regulator_answer: 'what was answered before, so that later answers can be refused',
  household_strategy:
    'how the autopilot will quote; each change is in the journal, as is every order it makes',
  market_watch: 'work in hand: up to which day the market was looked at',
  market_alarm:
    'what was noticed in trades and orders, which are covered: an opinion about the books',
  autopilot: 'work in hand: up to which slot the autopilot has quoted',
  hold_timeout:
    'work in hand: when open holds end; an expiry that is missing or too early shows in the journal',
  failed_id: 'what was refused and never counted',
  feed_cursor: 'how far settlements have been passed on',
  schema_migration: 'which migrations have run',
};
