import {
  newestSlot,
  pilot,
  type AutopilotTerms,
  type PilotedHousehold,
  type StreetHistory,
} from '../src/market/autopilot.js';
import type { ClearingRules } from '../src/market/clearing.js';
import { clearOrders, type ClearedGate } from '../src/market/gate-clearing.js';
import type { OrderRequest } from '../src/market/order.js';
import { SlotBook, tradingEnded } from '../src/market/slot-book.js';
import type { Outcome, Strategy, StreetEnergy } from '../src/market/strategy.js';
import { STORED_PERMILLE } from '../src/market/battery-plan.js';
import { numberTrades, type Trade } from '../src/market/trade.js';
import {
  takesOrders,
  type Household,
  type Mechanism,
  type Pricing,
  type Tariff,
} from '../src/parties/microgrid.js';
import { closeSlot, type SettledSlot } from '../src/settlement/close-slot.js';
import { formatInstant } from '../src/units/slot.js';
import type { SlotMinutes } from '../src/units/slot.js';
import type { MeasuredStreet } from '../simulator/measured-street.js';
import { netFlow } from '../simulator/registers.js';

/**
 * A measured street traded by the service's own pure functions, without a service: quotes, gates and
 * closes slot by slot, each looking at what was closed by then. A week takes part of a second.
 */
export interface BacktestTask {
  readonly street: MeasuredStreet;
  readonly microgrid: string;
  readonly mechanism: Mechanism;
  readonly pricing: Pricing;
  readonly strategy: Strategy;
  readonly tariff: Tariff;
  readonly gateClosureSeconds: number;
  /** Usable Wh of a battery in every home; 0 for none. */
  readonly batteryWh: number;
  /** Whether batteries follow the strategy's plan; else they keep the home's surplus for its own need. */
  readonly followsPlan: boolean;
}

export interface BacktestSlot {
  readonly settled: SettledSlot;
  readonly clearingPrice: number | null;
}

const GRACE_SECONDS = 300;
/** As `npm run replay` has it: no wallet binds. */
const CREDIT_MICRO = 2_000_000_000_000;

export function* backtest(task: BacktestTask): Generator<BacktestSlot> {
  const { street, tariff } = task;
  const slotMinutes = street.stepMinutes as SlotMinutes;
  const length = slotMinutes * 60_000;
  const terms: AutopilotTerms = {
    microgridId: task.microgrid,
    slotMinutes,
    gateClosureSeconds: task.gateClosureSeconds,
    graceSeconds: GRACE_SECONDS,
  };
  const homes = street.households.map(({ household }) => new Home(household, task.microgrid));
  const closed = new ClosedSlots();
  // What is decided for a slot is kept until it comes.
  const ahead = new Map<number, { trades: Trade[]; price: number | null }>();
  for (let index = 0; index < street.intervals; index += 1) {
    const slotMillis = street.startsAt + index * length;
    if (takesOrders(task.mechanism)) {
      ahead.set(slotMillis, gate(task, terms, homes, closed, slotMillis));
    }
    const { trades, price } = ahead.get(slotMillis) ?? { trades: [], price: null };
    ahead.delete(slotMillis);
    const flows = homes.map((home, at) => {
      const { loadWh, pvWh } = street.households[at]!;
      return home.meter(pvWh[index] ?? 0, loadWh[index] ?? 0, slotMillis, task);
    });
    closed.note(slotMillis, homes, flows);
    const settled = closeSlot({
      terms: {
        microgridId: task.microgrid,
        slot: formatInstant(slotMillis),
        slotEnd: formatInstant(slotMillis + length),
        currency: 'EUR',
        mechanism: task.mechanism,
        rules: rulesOf(task),
        sharing: task.mechanism === 'sharing' ? { key: 'dynamic', priceMicroPerKwh: null } : null,
        tariff,
      },
      households: homes.map((home, at) => ({
        householdId: home.id,
        feeder: null,
        share: { parts: 1, rank: 0 },
        energy: { ...flows[at]!, unexplainedWh: 0, quality: 'measured' },
        limits: { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null },
        availableMicro: CREDIT_MICRO,
        usableWh: task.batteryWh,
        lots: home.lots,
      })),
      trades,
    });
    settled.households.forEach(({ uses }, at) => (homes[at]!.lots = uses.lotsAfter));
    yield { settled, clearingPrice: price ?? settled.clearingPriceMicroPerKwh };
  }
}

function rulesOf({ pricing, street }: BacktestTask): ClearingRules {
  const slotMinutes = street.stepMinutes;
  return { pricing, kThousandths: 500, rationing: 'pro-rata', network: null, slotMinutes };
}

/** One home: what it remembers, and a battery that loses a little of what it is given. */
class Home {
  readonly household: Household;
  state: PilotedHousehold['state'] = {};
  last: Outcome | null = null;
  lots: SettledSlot['households'][number]['uses']['lotsAfter'] = [];
  readonly planned = new Map<string, { chargeWh: number; dischargeWh: number }>();
  private storedPermille = 0;

  constructor(
    readonly id: string,
    microgridId: string,
  ) {
    this.household = {
      microgridId,
      householdId: id,
      alias: id,
      feeder: null,
      shareParts: 1,
      shareRank: 0,
      importLimitW: null,
      exportLimitW: null,
      creditLimitMicro: 0,
      activeFrom: '1970-01-01T00:00:00Z',
      activeUntil: null,
    };
  }

  get chargeWh(): number {
    return Math.floor(this.storedPermille / 1000);
  }

  meter(pvWh: number, loadWh: number, slotMillis: number, task: BacktestTask) {
    const { batteryWh } = task;
    const surplusWh = pvWh - loadWh;
    const slot = formatInstant(slotMillis);
    const planned = this.planned.get(slot);
    this.planned.delete(slot);
    const takenWh = Math.max(surplusWh, planned?.chargeWh ?? 0);
    const givenWh =
      (planned?.chargeWh ?? 0) > 0 ? 0 : Math.max(-surplusWh, planned?.dischargeWh ?? 0);
    const mostWh = Math.floor((batteryWh * task.street.stepMinutes) / 240);
    const roomWh = Math.floor((batteryWh * 1000 - this.storedPermille) / STORED_PERMILLE);
    const chargedWh = Math.max(0, Math.min(takenWh, mostWh, roomWh));
    const dischargedWh = Math.max(0, Math.min(givenWh, mostWh, this.chargeWh));
    this.storedPermille += chargedWh * STORED_PERMILLE - dischargedWh * 1000;
    return {
      ...netFlow({ inWh: loadWh + chargedWh, outWh: pvWh + dischargedWh }),
      generatedWh: pvWh,
      chargedWh,
      dischargedWh,
      consumptionWh: loadWh,
    };
  }
}

type Flows = ReturnType<Home['meter']>;

/** What the meters have told so far. */
class ClosedSlots implements StreetHistory {
  private readonly nets = new Map<string, Map<number, number>>();
  private readonly balances = new Map<string, Map<number, number>>();
  private readonly streets = new Map<number, StreetEnergy>();

  note(slotMillis: number, homes: readonly Home[], flows: readonly Flows[]): void {
    let [supplyWh, demandWh] = [0, 0];
    homes.forEach(({ id }, index) => {
      const { importWh, exportWh, chargedWh, dischargedWh } = flows[index]!;
      const netWh = exportWh - importWh;
      of(this.nets, id).set(slotMillis, netWh);
      of(this.balances, id).set(slotMillis, netWh + chargedWh - dischargedWh);
      supplyWh += Math.max(netWh, 0);
      demandWh += Math.max(-netWh, 0);
    });
    this.streets.set(slotMillis, { supplyWh, demandWh });
  }

  readonly net = (household: string) => (start: number) => of(this.nets, household).get(start);
  readonly balance = (household: string) => (start: number) =>
    of(this.balances, household).get(start);
  readonly street = (start: number) => this.streets.get(start);
}

function of(series: Map<string, Map<number, number>>, household: string): Map<number, number> {
  const known = series.get(household) ?? new Map<number, number>();
  series.set(household, known);
  return known;
}

/** One slot's quotes and gate, from what is closed by then. */
function gate(
  task: BacktestTask,
  terms: AutopilotTerms,
  homes: readonly Home[],
  closed: ClosedSlots,
  slotMillis: number,
): { trades: Trade[]; price: number | null } {
  const newestMillis = newestSlot(slotMillis, terms);
  const past = <Value>(told: (start: number) => Value | undefined) => {
    return (start: number) => (start > newestMillis ? undefined : told(start));
  };
  const decided = pilot({
    terms,
    slotMillis,
    tariffAt: () => task.tariff,
    energy: {
      net: (household) => past(closed.net(household)),
      balance: (household) => past(closed.balance(household)),
      street: past(closed.street),
    },
    households: homes.map((home) => ({
      household: home.household,
      strategy: task.strategy,
      limits: { sellAbove: null, buyBelow: null },
      last: home.last,
      usableWh: task.followsPlan ? task.batteryWh : 0,
      state: home.state,
      availableMicro: CREDIT_MICRO,
    })),
  });
  const coming = decided.flatMap(({ orders: wanted }) => wanted);
  const cleared =
    task.mechanism === 'continuous' ? metInTurn(task, coming) : metAtOnce(task, coming);
  const filled = new Map<string, number>();
  for (const { householdId, filledWh } of cleared.orders) {
    filled.set(householdId, (filled.get(householdId) ?? 0) + filledWh);
  }
  decided.forEach(({ state, plan, orders: placed }, index) => {
    const home = homes[index]!;
    home.state = state;
    const [first] = plan;
    if (first) home.planned.set(first.slot, first);
    const request = placed[0]?.request;
    if (!request) return;
    home.last = {
      slot: request.slot,
      side: request.side,
      priceMicroPerKwh: request.priceMicroPerKwh,
      energyWh: placed.reduce((sum, order) => sum + order.request.energyWh, 0),
      filledWh: filled.get(home.id) ?? 0,
      clearingMicroPerKwh: cleared.clearingPrice,
    };
  });
  return {
    trades: numberTrades(task.microgrid, formatInstant(slotMillis), cleared.trades),
    price: cleared.clearingPrice,
  };
}

type Coming = readonly { readonly id: string; readonly request: OrderRequest }[];

function metAtOnce(task: BacktestTask, coming: Coming): ClearedGate {
  return clearOrders({
    orders: coming.map(({ id, request }) => ({
      ...request,
      orderId: id,
      householdId: request.household,
      feeder: null,
      sequence: 0,
    })),
    tariff: task.tariff,
    rules: rulesOf(task),
    coverMicro: () => CREDIT_MICRO,
  });
}

/** Each order trades with those before it, as the autopilot places them. */
function metInTurn({ tariff }: BacktestTask, coming: Coming): ClearedGate {
  const book = new SlotBook(tariff, []);
  const matches = coming.flatMap(({ id, request }) => {
    const arrival = book.place({ ...request, id }, () => CREDIT_MICRO);
    return arrival.outcome === 'taken' && arrival.match ? [arrival.match] : [];
  });
  const trades = matches.flatMap((match) => match.trades);
  const prices = new Set(trades.map(({ sellerPriceMicroPerKwh }) => sellerPriceMicroPerKwh));
  const tradedWh = trades.reduce((sum, { energyWh }) => sum + energyWh, 0);
  const [clearingPrice = null] = prices.size === 1 ? prices : [];
  const ended = tradingEnded({ lastTrade: trades.length, tradedWh, clearingPrice }, [
    ...book.orders(),
  ]);
  const filled = matches.flatMap(({ orders }) =>
    orders.filter(({ status }) => status === 'filled'),
  );
  const served = filled.map((order) => ({ ...order, status: 'filled' as const }));
  return { ...ended, trades, orders: [...ended.orders, ...served] };
}
