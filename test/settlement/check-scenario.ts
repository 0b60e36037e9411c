import { SYSTEM, walletOf } from '../../src/ledger/accounts.js';
import { clearOrders } from '../../src/market/gate-clearing.js';
import { gateRecord, orderPlaced, type GatedOrder } from '../../src/market/market-records.js';
import type { Trade } from '../../src/market/trade.js';
import { measure, type Border, type MeterSlot } from '../../src/metering/measurement.js';
import type { MeterRole, Microgrid } from '../../src/parties/microgrid.js';
import { tariffIn } from '../../src/parties/tariff.js';
import { sumWh, type Lot, type Portion } from '../../src/settlement/claims.js';
import {
  closeSlot,
  type SettledSlot,
  type SlotHousehold,
  type SlotTerms,
} from '../../src/settlement/close-slot.js';
import { slotRecords } from '../../src/settlement/slot-records.js';
import { formatMicro } from '../../src/units/money.js';
import { formatInstant, type Instant } from '../../src/units/slot.js';
import { Books } from './books.js';
import { timeOf, type EnergyRow, type Scenario } from './scenario.js';

/** What came of a scenario: a table of the same name and columns for every table it expects. */
type Outcome = Record<string, Record<string, string>[]>;

/**
 * Lives through a scenario: orders are placed and cleared, slots are closed in a row with batteries
 * and wallets carried on, and everything is posted.
 * @returns where it came out otherwise than expected, one line each
 */
export function check(scenario: Scenario): string[] {
  const { outcome, faults } = live(scenario);
  for (const { name, columns, rows } of scenario.expected) {
    const found = outcome[name];
    if (!found) {
      faults.push(`${scenario.name}: there is no table "${name}"`);
      continue;
    }
    const width = Math.max(rows.length, found.length);
    for (let index = 0; index < width; index += 1) {
      const row = rows[index];
      const actual = found[index];
      const wanted = row?.cells.join(' ') ?? 'nothing';
      const came = actual ? columns.map((column) => actual[column] ?? '?').join(' ') : 'nothing';
      if (wanted === came) continue;
      const place = `${scenario.name}:${row?.line ?? 'end'} ${name}`;
      faults.push(`${place} (${columns.join(' ')}): expected ${wanted}, came ${came}`);
    }
  }
  return faults;
}

function live(scenario: Scenario): { outcome: Outcome; faults: string[] } {
  const faults: string[] = [];
  const books = new Books(MICROGRID.microgridId);
  books.post(scenario.households.flatMap(({ id, walletMicro }) => paidIn(id, walletMicro)));
  const lots = new Map<string, readonly Lot[]>();
  const outcome: Outcome = {
    'expect trades': [],
    'expect settlements': [],
    'expect batteries': [],
    'expect wallets': [],
    'expect slots': [],
    'expect wires': [],
  };
  for (const slot of [...new Set(scenario.energy.map((row) => row.slot))].sort()) {
    const terms = termsOf(scenario, slot);
    const trades = tradedAhead(scenario, terms, books);
    const settled = closeSlot({ terms, households: present(scenario, slot, books, lots), trades });
    books.post(slotRecords(settled, new Map()));
    for (const { input, uses } of settled.households) lots.set(input.householdId, uses.lotsAfter);
    faults.push(...untrue(books, lots).map((what) => `${scenario.name}: ${timeOf(slot)} ${what}`));
    tell(outcome, settled);
  }
  outcome['expect wires'] = [
    {
      fees: formatMicro(books.balance(SYSTEM.gridFees)),
      rent: formatMicro(books.balance(SYSTEM.congestionRent)),
    },
  ];
  outcome['expect wallets'] = scenario.households.map(({ id }) => ({
    household: id,
    balance: formatMicro(books.balance(walletOf(id))),
    held: formatMicro(books.heldOf(walletOf(id))),
  }));
  return { outcome, faults };
}

/** Invariants that hold after every slot. */
function untrue(books: Books, lots: ReadonlyMap<string, readonly Lot[]>): string[] {
  const stored = [...lots.values()].reduce((sum, held) => sum + sumWh(held), 0);
  const wanted: [string, number, number][] = [
    ...Object.entries(books.sums()).map(([asset, sum]): [string, number, number] => [
      `sum of ${asset} over all accounts`,
      sum,
      0,
    ]),
    ['PRODUCTION in circulation', books.circulating('PRODUCTION'), 0],
    ['CONSUMPTION in circulation', books.circulating('CONSUMPTION'), 0],
    ['STORAGE in circulation', books.circulating('STORAGE'), stored],
    ['STORAGE of households', books.inHouseholds('STORAGE'), stored],
    ['money in the market', books.balance(SYSTEM.market), 0],
  ];
  return wanted.flatMap(([what, is, should]) =>
    is === should ? [] : [`${what} is ${is}, not ${should}`],
  );
}

function termsOf(scenario: Scenario, slot: Instant): SlotTerms {
  return {
    microgridId: MICROGRID.microgridId,
    slot,
    slotEnd: formatInstant(Date.parse(slot) + scenario.slotMinutes * 60_000),
    currency: MICROGRID.currency,
    mechanism: scenario.mechanism,
    rules: scenario.rules,
    sharing: scenario.sharing,
    tariff: tariffIn(scenario.tariffs, 'UTC', slot),
  };
}

/** Places the slot's orders, each with its hold, and clears its gate. */
function tradedAhead(scenario: Scenario, terms: SlotTerms, books: Books): Trade[] {
  const { slot } = terms;
  const book = scenario.orders.flatMap((row, index): GatedOrder[] => {
    if (row.slot !== slot) return [];
    const id = index.toString(16).padStart(32, '0');
    const request = { ...row, microgrid: MICROGRID.microgridId };
    const { draft, holdId } = orderPlaced(MICROGRID, request, id, slot);
    books.post([draft]);
    const { feeder } = scenario.households.find((one) => one.id === row.household)!;
    return [{ ...request, id, holdId, filledWh: 0, feeder, sequence: index + 1 }];
  });
  if (book.length === 0) return [];
  const spendable = new Map(
    book.map(({ household }) => [household, books.balance(walletOf(household))]),
  );
  const cleared = clearOrders({
    orders: book.map((order) => ({ ...order, orderId: order.id, householdId: order.household })),
    tariff: terms.tariff,
    rules: terms.rules,
    coverMicro: (household) => spendable.get(household) ?? 0,
  });
  const { draft, trades } = gateRecord(MICROGRID, slot, slot, book, cleared);
  books.post([draft]);
  return trades;
}

function present(
  scenario: Scenario,
  slot: Instant,
  books: Books,
  lots: ReadonlyMap<string, readonly Lot[]>,
): SlotHousehold[] {
  return scenario.households.flatMap((household): SlotHousehold[] => {
    const { id } = household;
    const row = scenario.energy.find((one) => one.slot === slot && one.household === id);
    if (!row) return [];
    const { householdId, ...energy } = measure(id, metersOf(row), 0);
    return [
      {
        householdId,
        feeder: household.feeder,
        share: household.share,
        energy,
        limits: {
          sellAboveMicroPerKwh: household.sellAboveMicroPerKwh,
          buyBelowMicroPerKwh: household.buyBelowMicroPerKwh,
        },
        availableMicro: books.available(walletOf(id)),
        usableWh: household.usableWh,
        lots: lots.get(id) ?? [],
      },
    ];
  });
}

/** The registers of a household's meters, each starting at some value of its own. */
export function metersOf(row: Omit<EnergyRow, 'slot'>): MeterSlot[] {
  const register = (role: MeterRole, name: 'import' | 'export', startWh: number, wh: number) => ({
    meterId: `${row.household}-${role}`,
    householdId: row.household,
    role,
    register: name,
    start: border(startWh),
    end: border(startWh + wh),
  });
  const { generatedWh, chargedWh, dischargedWh } = row;
  return [
    register('grid', 'import', 1_000, row.importWh),
    register('grid', 'export', 20_000, row.exportWh),
    ...(generatedWh === null ? [] : [register('generation', 'export', 7, generatedWh)]),
    ...(chargedWh === null ? [] : [register('storage', 'import', 300, chargedWh)]),
    ...(dischargedWh === null ? [] : [register('storage', 'export', 0, dischargedWh)]),
  ];
}

function border(valueWh: number): Border {
  return { valueWh, quality: 'measured', readingHashes: [] };
}

/** Adds a slot to the tables of what came. */
function tell(outcome: Outcome, { terms, households, trades, ...slot }: SettledSlot): void {
  const time = timeOf(terms.slot);
  outcome['expect slots']!.push({
    slot: time,
    traded: String(slot.tradedWh),
    price:
      slot.clearingPriceMicroPerKwh === null ? '-' : formatMicro(slot.clearingPriceMicroPerKwh),
    'wallet-limited': slot.walletLimited.join('+') || '-',
  });
  for (const trade of trades) {
    outcome['expect trades']!.push({
      slot: time,
      seller: trade.seller,
      buyer: trade.buyer,
      traded: String(trade.energyWh),
      settled: String(trade.settledWh),
      claimed: String(sumWh(trade.claimed)),
      origins: told(trade.claimed),
      pays: formatMicro(trade.costMicro),
      receives: formatMicro(trade.proceedsMicro),
    });
  }
  for (const { input, claims, uses, settlement } of households) {
    outcome['expect settlements']!.push({
      slot: time,
      household: input.householdId,
      produced: String(settlement.producedWh),
      minted: told(claims.minted),
      consumed: String(settlement.consumedWh),
      used: String(settlement.usedWh),
      self: String(settlement.selfWh),
      'clean-self': String(settlement.cleanSelfWh),
      'from-neighbors': String(settlement.fromNeighborsWh),
      'clean-from-neighbors': String(settlement.cleanFromNeighborsWh),
      'to-neighbors': String(settlement.toNeighborsWh),
      'from-grid': String(settlement.fromGridWh),
      'to-grid': String(settlement.toGridWh),
      unexplained: String(input.energy.unexplainedWh),
      'unexplained-use': String(settlement.unexplainedUseWh),
      imbalance: String(settlement.imbalanceWh),
      neighbors: formatMicro(settlement.neighborMicro),
      fees: formatMicro(settlement.feeMicro),
      utility: formatMicro(settlement.utilityMicro),
      net: formatMicro(settlement.netMicro),
      tariff: formatMicro(settlement.tariffMicro),
      quality: settlement.quality,
      consumption:
        Object.entries(uses.consumption)
          .filter(([, energyWh]) => energyWh > 0)
          .map(([source, energyWh]) => `${source}:${energyWh}`)
          .join('+') || '-',
    });
    if (input.usableWh === 0) continue;
    outcome['expect batteries']!.push({
      slot: time,
      household: input.householdId,
      discharged: lotsTold(claims.lotsDischarged),
      charged: lotsTold(uses.lotsCharged),
      lost: lotsTold(uses.lotsLost),
      holds: lotsTold(uses.lotsAfter),
    });
  }
}

/** `storage-own:300+unproven:20`, or `-`. */
function told(portions: readonly Portion[]): string {
  return portions.map(({ origin, energyWh }) => `${origin}:${energyWh}`).join('+') || '-';
}

/** `12:00/own:500+12:15/grid:20`, or `-`. */
function lotsTold(lots: readonly Lot[]): string {
  const text = lots.map((lot) => `${timeOf(lot.chargedIn)}/${lot.source}:${lot.energyWh}`);
  return text.join('+') || '-';
}

function paidIn(household: string, amount: number) {
  if (amount === 0) return [];
  const wallet = walletOf(household);
  const at = MICROGRID.startsAt;
  return [
    {
      kind: 'deposit' as const,
      at,
      cause: `deposit/${household}`,
      keyHolder: household,
      households: [household],
      facts: {},
      transfers: [
        { debit: SYSTEM.bank, credit: wallet, asset: MICROGRID.currency, amount, code: 'deposit' },
      ],
    },
  ];
}

const MICROGRID: Microgrid = {
  microgridId: 'street',
  name: 'A street',
  timeZone: 'UTC',
  currency: 'EUR',
  slotMinutes: 15,
  mechanism: 'metered',
  pricing: 'clearing',
  rationing: 'pro-rata',
  sharingKey: 'dynamic',
  sharingPriceMicroPerKwh: null,
  priceKThousandths: 500,
  graceSeconds: 300,
  gateClosureSeconds: 0,
  correctionDays: 14,
  unexplainedToleranceWh: 10,
  creditLimitMicro: 0,
  startsAt: '2026-06-01T00:00:00Z',
};
