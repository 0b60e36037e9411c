import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSettings } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { SYSTEM } from '../../src/ledger/accounts.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import { AutopilotService } from '../../src/market/autopilot.service.js';
import { MarketService } from '../../src/market/market.service.js';
import { OrderService } from '../../src/market/order.service.js';
import type { Side } from '../../src/market/order.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import type { Mechanism, Microgrid } from '../../src/parties/microgrid.js';
import type { EnrolmentRequest } from '../../src/parties/enrolment.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { MarketWatchService } from '../../src/settlement/market-watch.service.js';
import { SettlementService } from '../../src/settlement/settlement.service.js';
import { SlotClockService } from '../../src/settlement/slot-clock.service.js';
import { SlotClosingService } from '../../src/settlement/slot-closing.service.js';
import { SlotCorrectionService } from '../../src/settlement/slot-correction.service.js';
import { accepted, tenantOf } from '../market/street.js';
import { freshDatabase } from '../support/database.js';

/** A street on a real database, run by the real services on the simulated clock. */

export interface StreetSetup {
  /** Households with what they paid in, and their meters besides the grid's. */
  households: Record<string, { wallet?: number; pv?: boolean; usableWh?: number }>;
  mechanism?: Mechanism;
  gridFeeMicroPerKwh?: number;
  graceSeconds?: number;
  gateClosureSeconds?: number;
  creditLimitMicro?: number;
}

/** Registers of a household: import and export at the grid, generated, charged, discharged. */
export interface Registers {
  in?: number;
  out?: number;
  pv?: number;
  charged?: number;
  discharged?: number;
}

export const STARTS = at('10:00');

/** `at('10:15')` on the day of the tests. */
export function at(time: string): string {
  return `2026-06-01T${time}:00Z`;
}

export async function openStreet(setup: StreetSetup) {
  const { url, database, asOwner, drop } = await freshDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'neighborwatt-street-'));
  const first = instanceOn(database, dataDir);
  const { clock, parties, ledger, settlement, slots, metering, orders } = first;
  await clock.advance(database, STARTS);
  await database.transaction(async (sql) => {
    await parties.createMicrogrid(
      sql,
      {
        microgrid: 'street',
        name: 'A street',
        currency: 'EUR',
        mechanism: setup.mechanism ?? 'metered',
        graceSeconds: setup.graceSeconds ?? 300,
        gateClosureSeconds: setup.gateClosureSeconds ?? 0,
        creditLimitMicro: setup.creditLimitMicro ?? 0,
        startsAt: STARTS,
        tariff: {
          bands: [
            {
              fromMinute: 0,
              retailMicroPerKwh: 300_000,
              feedInMicroPerKwh: 50_000,
              gridFeeMicroPerKwh: setup.gridFeeMicroPerKwh ?? 0,
            },
          ],
        },
      },
      'test',
    );
    const members = Object.entries(setup.households).map(([id, home]) => member(id, home));
    await parties.enrolMembers(sql, 'street', { members }, 'test');
  });
  const microgrid: Microgrid = (await parties.microgrid(database, 'street'))!;
  const householdOf = async (id: string) => (await parties.householdOf(database, id))!;
  for (const [id, { wallet = 0 }] of Object.entries(setup.households)) {
    if (wallet === 0) continue;
    const request = { direction: 'deposit' as const, amountMicro: wallet, reference: 'opening' };
    await settlement.deposit(microgrid, await householdOf(id), request);
  }
  const others: DatabaseService[] = [];
  let keys = 0;

  return {
    ...first,
    url,
    database,
    asOwner,
    microgrid,
    householdOf,

    /** Another instance of the service, with connections of its own. */
    async secondInstance() {
      const other = await DatabaseService.open({ url, poolSize: 5 });
      others.push(other);
      return { ...instanceOn(other, dataDir), database: other };
    },

    /** Registers as read at an instant: `read('10:15', { A: { in: 900 } })`. */
    async read(time: string, registers: Record<string, Registers>): Promise<void> {
      const readings = Object.entries(registers).flatMap(([id, home]) => readingsOf(id, home));
      await Promise.all(
        readings.map(({ meter, ...values }) =>
          metering.intake({
            topic: `microgrids/street/meters/${meter}/readings`,
            payload: Buffer.from(JSON.stringify({ readAt: at(time), ...values })),
            retained: false,
          }),
        ),
      );
    },

    /** Moves the clock; everything due by then is done. */
    advance(time: string) {
      return slots.advance(at(time));
    },

    /** An order for the slot at `slot` by someone who lives there. */
    async place(
      household: string,
      side: Side,
      slot: string,
      energyWh: number,
      priceMicroPerKwh: number,
      delivery: 'delivered' | 'firm' = 'delivered',
    ) {
      const order = { household, side, slot: at(slot), energyWh, priceMicroPerKwh, delivery };
      const key = `key-${(keys += 1)}`;
      const placed = await orders.placeOrder(
        tenantOf(household),
        { microgrid: 'street', ...order },
        key,
      );
      return accepted(placed);
    },

    /** What a slot came to: its state, and the latest settlement of each household. */
    async settled(slot: string) {
      const rows = await database.query<{ household: string; revision: number; quality: string }>(
        `SELECT DISTINCT ON (household_id) household_id AS household, revision, quality,
           from_neighbors_wh AS "fromNeighborsWh", to_neighbors_wh AS "toNeighborsWh",
           from_grid_wh AS "fromGridWh", to_grid_wh AS "toGridWh", imbalance_wh AS "imbalanceWh",
           neighbor_micro AS "neighborMicro", utility_micro AS "utilityMicro",
           net_micro AS "netMicro"
         FROM settlement WHERE slot_start = $1 ORDER BY household_id, revision DESC`,
        [at(slot)],
      );
      return Object.fromEntries(rows.map(({ household, ...row }) => [household, row]));
    },

    async slotStates(): Promise<string[]> {
      const rows = await database.query<{ start: string; status: string; revision: number }>(
        `SELECT slot_start AS start, status, revision FROM slot ORDER BY slot_start`,
      );
      return rows.map(
        ({ start, status, revision }) => `${start.slice(11, 16)} ${status} ${revision}`,
      );
    },

    /** Posted balances of all accounts, zero left out; wallets and bills of a household as one. */
    async balances(of: (account: string) => boolean = () => true) {
      const rows = await database.query<{ account: string; balance: number }>(
        `SELECT account_id AS account, credits_posted - debits_posted AS balance FROM account`,
      );
      const sums: Record<string, number> = {};
      for (const { account, balance } of rows) {
        const name = account.replace(/\/(wallet|bill)$/, '/money');
        if (of(account) && balance !== 0) sums[name] = (sums[name] ?? 0) + balance;
      }
      return sums;
    },

    /** Books that balance, with nothing left between buyers and sellers, or what is wrong. */
    async faults(): Promise<string[]> {
      const sums = await database.query<{ asset: string; posted: number; pending: number }>(
        `SELECT asset, sum(credits_posted - debits_posted)::bigint AS posted,
           sum(credits_pending - debits_pending)::bigint AS pending FROM account GROUP BY asset`,
      );
      const [market] = (await ledger.balances(database, 'street', [SYSTEM.market])).values();
      const supply = await first.closing.supply(database, 'street');
      const [stored] = await database.query<{ wh: number }>(
        `SELECT coalesce(sum(remaining_wh), 0)::bigint AS wh FROM storage_lot`,
      );
      const open = market ? market.creditsPosted - market.debitsPosted : 0;
      return [
        ...sums
          .filter(({ posted, pending }) => posted !== 0 || pending !== 0)
          .map(({ asset }) => `${asset} does not sum to zero`),
        ...(open === 0 ? [] : [`the market keeps ${open}`]),
        ...(supply.PRODUCTION === 0 ? [] : [`${supply.PRODUCTION} PRODUCTION in circulation`]),
        ...(supply.CONSUMPTION === 0 ? [] : [`${supply.CONSUMPTION} CONSUMPTION in circulation`]),
        ...(supply.STORAGE === stored!.wh ? [] : [`${supply.STORAGE} STORAGE, lots ${stored!.wh}`]),
      ];
    },

    async records(kinds: readonly string[]) {
      const all = await ledger.records(database, 'street', { since: 0, limit: 10_000 });
      return all.filter(({ kind }) => kinds.includes(kind));
    },

    async close() {
      for (const other of others) await other.close();
      await drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export type Street = Awaited<ReturnType<typeof openStreet>>;

/** The services of one instance, wired as the application wires them. */
function instanceOn(database: DatabaseService, dataDir: string) {
  const settings = loadSettings({
    MARKET_CLOCK: 'simulated',
    // A test may read a whole day before it moves the clock.
    MAX_CLOCK_AHEAD_SECONDS: '86400',
    DATA_DIR: dataDir,
  });
  const clock = new MarketClockService(settings, database);
  const ledger = new LedgerService();
  const log = new LogService(settings);
  const parties = new PartiesService(database, clock, ledger);
  const metering = new MeteringService(new IntakeService(database, clock, settings));
  const market = new MarketService(database, ledger, parties, clock);
  const orders = new OrderService(database, ledger, parties, clock);
  const autopilot = new AutopilotService(database, ledger, parties, metering, market, clock);
  const settlement = new SettlementService(database, ledger, log, market, clock);
  const closing = new SlotClosingService(database, parties, ledger, metering, market);
  const correction = new SlotCorrectionService(
    database,
    parties,
    ledger,
    metering,
    market,
    closing,
  );
  const watch = new MarketWatchService(database, parties, settlement);
  const slots = new SlotClockService(
    settings,
    database,
    clock,
    parties,
    metering,
    market,
    autopilot,
    ledger,
    log,
    closing,
    correction,
    watch,
  );
  return {
    clock,
    ledger,
    log,
    parties,
    metering,
    market,
    orders,
    autopilot,
    settlement,
    closing,
    slots,
  };
}

type Home = StreetSetup['households'][string];

export function member(
  household: string,
  { pv, usableWh }: Home,
  activeFrom: string | null = null,
): NonNullable<EnrolmentRequest['members']>[number] {
  return {
    household,
    activeFrom,
    meters: [
      { meter: `${household}-grid`, role: 'grid' },
      ...(pv ? [{ meter: `${household}-pv`, role: 'generation' as const }] : []),
      ...(usableWh ? [{ meter: `${household}-battery`, role: 'storage' as const, usableWh }] : []),
    ],
  };
}

function readingsOf(household: string, registers: Registers) {
  const grid = { importWh: registers.in, exportWh: registers.out };
  const battery = { importWh: registers.charged, exportWh: registers.discharged };
  return [
    { meter: `${household}-grid`, ...grid },
    { meter: `${household}-pv`, exportWh: registers.pv },
    { meter: `${household}-battery`, ...battery },
  ].filter(({ meter: _meter, ...values }) => Object.values(values).some((wh) => wh !== undefined));
}
