/**
 * Who may do what to which table. There are three roles: the owner, who migrates; the service, which
 * every instance acts as; and the eraser, which acts for `npm run operator -- erase` alone. Both may
 * read everything; what is not granted here is refused. A table that is missing here nobody may touch
 * but the owner, so a new one cannot be forgotten.
 */

export const SERVICE_ROLE = 'neighborwatt_service';
export const ERASER_ROLE = 'neighborwatt_eraser';

/** Whom a connection acts as. */
export type Role = 'owner' | 'service' | 'eraser';

/** Besides SELECT. Columns where only some may change: a lock of a row needs one as well. */
export type Right = 'INSERT' | 'DELETE' | 'UPDATE' | `UPDATE (${string})`;

export interface TableRights {
  readonly service: readonly Right[];
  readonly eraser: readonly Right[];
  /** Why the service may change or remove rows; null where it only adds them. */
  readonly changes: string | null;
}

/** The service adds rows and nobody changes them. @param eraser what erasing a household needs */
function insertOnly(...eraser: Right[]): TableRights {
  return { service: ['INSERT'], eraser, changes: null };
}

function changing(changes: string, service: Right[], eraser: Right[] = []): TableRights {
  return { service: ['INSERT', ...service], eraser, changes };
}

export const TABLE_RIGHTS: Readonly<Record<string, TableRights>> = {
  // The journal and its log. The eraser appends the record of an erasure.
  transfer: insertOnly(),
  record_head: insertOnly('INSERT'),
  record_body: insertOnly('INSERT', 'DELETE'),
  record_household: insertOnly('INSERT'),
  record_key: insertOnly('DELETE'),
  erasure: { service: [], eraser: ['INSERT'], changes: null },
  log_entry: insertOnly('INSERT'),
  checkpoint: insertOnly(),
  log_policy: insertOnly(),
  publication: insertOnly(),
  journal_head: changing('it counts the records', ['UPDATE'], ['UPDATE']),
  log_tile: changing(
    'the last tile of each level grows',
    ['UPDATE (hashes)'],
    ['INSERT', 'UPDATE (hashes)'],
  ),
  hold_timeout: changing('it goes once the hold is resolved', ['DELETE']),
  failed_id: insertOnly(),
  account: changing('a balance moves with every transfer', ['UPDATE']),

  // What meters said and what it came to.
  reading: insertOnly('DELETE'),
  reading_payload: insertOnly('DELETE'),
  reading_contradiction: insertOnly('DELETE'),
  register_border: insertOnly('DELETE'),
  suspect_reading: changing(
    'what later readings show changes the verdict',
    ['UPDATE (rule)', 'DELETE'],
    ['DELETE'],
  ),
  measurement: insertOnly('DELETE'),
  settlement: insertOnly('DELETE'),
  true_up: insertOnly('DELETE'),
  trade: insertOnly(),
  trade_settlement: insertOnly(),
  meter_counter: changing('it counts on', ['UPDATE (counter)'], ['DELETE']),
  meter_exchange: insertOnly('DELETE'),
  late_reading: changing('work in hand', ['UPDATE (times)', 'DELETE'], ['DELETE']),
  rejection: changing('a repeated refusal counts up', ['UPDATE'], ['DELETE']),
  slot: changing('it is opened, closed and corrected', ['UPDATE']),
  manifest_state: changing('it counts on with every slot', ['UPDATE (state)']),
  storage_lot: changing('what a battery holds now', ['DELETE'], ['DELETE']),

  // The market.
  tariff: insertOnly(),
  network_node: insertOnly(),
  market_order: changing(
    'it is filled or taken back',
    ['UPDATE (status, filled_wh, hold_id)'],
    ['DELETE'],
  ),
  standing_order: changing(
    'a second change within a slot replaces the first',
    ['UPDATE'],
    ['DELETE'],
  ),
  household_strategy: changing('it is chosen, and learns', ['UPDATE'], ['DELETE']),
  autopilot: changing('how far it has quoted', ['UPDATE (quoted_through)']),
  market_watch: changing('how far it has looked', ['UPDATE (watched_through)']),
  market_alarm: insertOnly('DELETE'),
  traded_slot: changing('its gate closes, and it counts corrections', [
    'UPDATE (revision, gate_sequence)',
  ]),

  // Programs.
  program: insertOnly(),
  program_funding: insertOnly(),
  program_run: insertOnly(),
  award: insertOnly('DELETE'),
  program_member: changing(
    'who leaves ends, and may join again',
    ['UPDATE (left_at, consented_by, sequence)'],
    ['DELETE'],
  ),
  regulator_query: insertOnly(),
  regulator_answer: insertOnly('UPDATE (energies)'),

  // Who takes part.
  microgrid: changing('its row is locked while members are enrolled', ['UPDATE (name)']),
  party: insertOnly('DELETE'),
  gateway: insertOnly(),
  household: changing(
    'who moves out ends',
    ['UPDATE (active_until)'],
    ['UPDATE (alias, feeder, import_limit_w, export_limit_w, share_parts, share_rank)'],
  ),
  meter_key: insertOnly('DELETE'),
  meter: changing('it ends with its household', ['UPDATE (active_until)'], ['DELETE']),
  meter_profile: changing('another device takes its place', ['UPDATE', 'DELETE'], ['DELETE']),
  meter_claim: changing('a code is used once, or replaced', ['UPDATE'], ['DELETE']),
  person: changing(
    'passwords change and access ends',
    ['UPDATE (password_hash, password_must_change, disabled_at)'],
    ['DELETE'],
  ),
  person_grant: changing('a grant ends', ['UPDATE (valid_until)'], ['DELETE']),
  session: changing('it is renewed, revoked and cleared away', ['UPDATE', 'DELETE'], ['DELETE']),
  spent_refresh: changing('it goes with its session', []),
  invitation: changing('it is used once', ['UPDATE (used_at)'], ['DELETE']),
  mqtt_credential: changing('secrets are renewed and revoked', ['UPDATE'], ['DELETE']),

  // The service's own bearings.
  market_clock: changing('time goes on', ['UPDATE (now)']),
  feed_cursor: changing('what was passed on', ['UPDATE (sequence)']),
  schema_migration: { service: [], eraser: [], changes: null },
};

/** Insert-only even for the owner: a trigger says so. */
export const INSERT_ONLY: readonly string[] = Object.entries(TABLE_RIGHTS)
  .filter(([table, { changes }]) => changes === null && table !== 'schema_migration')
  .map(([table]) => table);

/** One privilege of one role; `column` is null where it is that of the whole table. */
export interface Privilege {
  readonly table: string;
  readonly role: string;
  readonly privilege: string;
  readonly column: string | null;
}

/** Every privilege that the two roles have on these tables. */
export function privilegesOn(tables: readonly string[]): Privilege[] {
  return tables.flatMap((table) => {
    const rights = TABLE_RIGHTS[table];
    if (!rights) return [];
    return [
      ...privilegesOf(table, SERVICE_ROLE, ['SELECT', ...rights.service]),
      ...privilegesOf(table, ERASER_ROLE, ['SELECT', ...rights.eraser]),
    ];
  });
}

function privilegesOf(
  table: string,
  role: string,
  rights: readonly (Right | 'SELECT')[],
): Privilege[] {
  return rights.flatMap((right): Privilege[] => {
    const [, privilege, columns] = /^(\w+)(?: \((.+)\))?$/.exec(right)!;
    const named = columns === undefined ? [null] : columns.split(', ');
    return named.map((column) => ({ table, role, privilege: privilege!, column }));
  });
}
