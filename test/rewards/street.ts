import type { DatabaseService } from '../../src/database/database.service.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import type { LogService } from '../../src/ledger/log.service.js';
import type { MarketService } from '../../src/market/market.service.js';
import type { MeasurementQuality } from '../../src/metering/measurement.js';
import type { EnrolmentJournal } from '../../src/parties/enrolment-journal.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { AlarmService } from '../../src/rewards/alarm.service.js';
import { AwardService } from '../../src/rewards/award.service.js';
import { EfficiencyService } from '../../src/rewards/efficiency.service.js';
import { RewardsService } from '../../src/rewards/rewards.service.js';
import { MarketWatchService } from '../../src/settlement/market-watch.service.js';
import { SettlementService } from '../../src/settlement/settlement.service.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';

/** A street whose slots are settled as the test says, and the services of the room over it. */
export interface Street {
  database: DatabaseService;
  asOwner: FreshDatabase['asOwner'];
  rewards: RewardsService;
  awards: AwardService;
  efficiency: EfficiencyService;
  settlement: SettlementService;
  watch: MarketWatchService;
  alarms: AlarmService;
  ledger: LedgerService;
  parties: PartiesService;
  clock: MarketClockService;
  drop(): Promise<void>;
}

export interface Settled {
  slot: string;
  household: string;
  producedWh?: number;
  usedWh?: number;
  selfWh?: number;
  fromNeighborsWh?: number;
  /** Of what came from neighbors, what is of proven local origin; all of it by default. */
  cleanFromNeighborsWh?: number;
  quality?: MeasurementQuality;
  revision?: number;
}

export const MICROGRID = 'street';
const PEOPLE = ['regina', 'regulator', 'tenant'];

/** Households h01, h02 ... with the person `tenant`, and the regulator `regina`; market time is `now`. */
export async function openStreet(households: number, now: string): Promise<Street> {
  const { database, asOwner, drop } = await freshDatabase();
  const clock = new MarketClockService({ marketClock: 'simulated' }, database);
  const ledger = new LedgerService();
  const parties = new PartiesService(database, clock, ledger as unknown as EnrolmentJournal);
  // Sums of settled energy need neither the log's keys nor the order book.
  const settlement = new SettlementService(
    database,
    ledger,
    {} as LogService,
    {} as MarketService,
    clock,
  );
  const ids = Array.from({ length: households }, (_, at) => householdId(at + 1));
  await database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, slot_minutes, starts_at)
     VALUES ($1, 'A street', 'EUR', 15, '2026-05-01T00:00:00Z')`,
    [MICROGRID],
  );
  await database.query(
    `INSERT INTO party (party_id, kind)
     SELECT unnest($1::text[]), 'household' UNION ALL SELECT unnest($2::text[]), 'person'`,
    [ids, PEOPLE],
  );
  await database.query(
    `INSERT INTO person (person_id, name) SELECT unnest($1::text[]), 'A person'`,
    [PEOPLE],
  );
  await database.query(
    `INSERT INTO household (microgrid_id, household_id, alias, active_from)
     SELECT $1, id, 'alias ' || id, '2026-05-01T00:00:00Z' FROM unnest($2::text[]) AS id`,
    [MICROGRID, ids],
  );
  await database.transaction((sql) => clock.advance(sql, now));
  const watch = new MarketWatchService(database, parties, settlement);
  return {
    database,
    asOwner,
    ledger,
    parties,
    clock,
    rewards: new RewardsService(database, ledger, parties, clock),
    awards: new AwardService(database, ledger, parties, settlement, clock),
    efficiency: new EfficiencyService(database, parties, settlement),
    settlement,
    watch,
    alarms: new AlarmService(database, watch),
    drop,
  };
}

export function householdId(number: number): string {
  return `h${String(number).padStart(2, '0')}`;
}

export async function settle({ database }: Street, rows: readonly Settled[]): Promise<void> {
  await database.query(
    `INSERT INTO settlement (microgrid_id, slot_start, household_id, revision, sequence, produced_wh,
       consumed_wh, used_wh, self_wh, clean_self_wh, from_neighbors_wh, clean_from_neighbors_wh,
       to_neighbors_wh, from_grid_wh, to_grid_wh, unexplained_use_wh, sold_wh, bought_wh,
       imbalance_wh, neighbor_micro, fee_micro, utility_micro, net_micro, tariff_micro, quality)
     SELECT $1, slot, household, revision, 1, produced, used, used, self, self, bought, clean,
       0, 0, 0, 0, 0, bought, 0, 0, 0, 0, 0, 0, quality
     FROM unnest($2::timestamptz[], $3::text[], $4::smallint[], $5::bigint[], $6::bigint[],
       $7::bigint[], $8::bigint[], $9::bigint[], $10::text[])
       AS settled (slot, household, revision, produced, used, self, bought, clean, quality)`,
    [
      MICROGRID,
      rows.map(({ slot }) => slot),
      rows.map(({ household }) => household),
      rows.map(({ revision }) => revision ?? 0),
      rows.map(({ producedWh }) => producedWh ?? 0),
      rows.map(({ usedWh }) => usedWh ?? 0),
      rows.map(({ selfWh }) => selfWh ?? 0),
      rows.map(({ fromNeighborsWh }) => fromNeighborsWh ?? 0),
      rows.map((row) => row.cleanFromNeighborsWh ?? row.fromNeighborsWh ?? 0),
      rows.map(({ quality }) => quality ?? 'measured'),
    ],
  );
}

export interface Claimed {
  slot: string;
  buyer: string;
  seller: string;
  claimedWh: number;
  /** A corrected slot has the trades of its last revision. */
  revision?: number;
}

/** Trades of slots that are closed hereby, as they were settled. */
export async function trade({ database }: Street, rows: readonly Claimed[]): Promise<void> {
  const slots = [...new Set(rows.map(({ slot }) => slot))];
  await database.query(
    `INSERT INTO slot (microgrid_id, slot_start, slot_end, status, revision, correction_sequences)
     SELECT $1, slot, slot + interval '15 minutes', 'closed', revision,
       array_fill(1::bigint, ARRAY[revision])
     FROM unnest($2::timestamptz[], $3::integer[]) AS closed (slot, revision)`,
    [
      MICROGRID,
      slots,
      slots.map((slot) =>
        Math.max(...rows.map((row) => (row.slot === slot ? (row.revision ?? 0) : 0))),
      ),
    ],
  );
  await database.query(
    `INSERT INTO trade_settlement (microgrid_id, slot_start, revision, number, sequence, buyer_id,
       seller_id, settled_wh, claimed_wh, cost_micro, proceeds_micro, firm)
     SELECT $1, slot, revision, number, 1, buyer, seller, claimed, claimed, 0, 0, false
     FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::integer[])
       WITH ORDINALITY AS traded (slot, buyer, seller, claimed, revision, number)`,
    [
      MICROGRID,
      rows.map(({ slot }) => slot),
      rows.map(({ buyer }) => buyer),
      rows.map(({ seller }) => seller),
      rows.map(({ claimedWh }) => claimedWh),
      rows.map(({ revision }) => revision ?? 0),
    ],
  );
}

/** Marks all slots before `end` closed, by one row that ends there. */
export async function closeThrough({ database }: Street, end: string): Promise<void> {
  await database.query(
    `INSERT INTO slot (microgrid_id, slot_start, slot_end, status)
     VALUES ($1, $2::timestamptz - interval '15 minutes', $2, 'closed')`,
    [MICROGRID, end],
  );
}
