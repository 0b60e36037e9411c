/** A household's page: its power and slot now, the street's market, its energy, money and limits. */
import { useMemo, type ReactNode } from 'react';
import type {
  Balances,
  ClosedSlot,
  ClaimedMeter,
  Household,
  HouseholdMeter,
  Limits,
  Microgrid,
  Page,
  Settlement,
  Statement,
  StrategyChoice,
  TapeTrade,
} from '../answers.js';
import type { Api } from '../api.js';
import { addUp, type DayBook } from '../day-book.js';
import { withTrades } from '../feed-reducer.js';
import {
  dayStart,
  formatDate,
  formatPrice,
  formatSlot,
  formatTime,
  monthsBetween,
  monthStart,
} from '../format.js';
import type { Limit } from '../limits.js';
import type { Live } from '../live.js';
import { useHouseholdFairness } from '../fairness.js';
import { BillLinesPanel } from '../panels/bill-lines.js';
import { EnergyToday } from '../panels/energy-today.js';
import { ClaimPanel } from '../panels/claim-panel.js';
import { AutopilotPanel } from '../panels/autopilot-panel.js';
import { Money } from '../panels/figures.js';
import { FairnessPanel } from '../panels/fairness.js';
import { LimitsPanel } from '../panels/limits-form.js';
import { LivePower } from '../panels/live-power.js';
import { MoneyPanel, type SavedEver } from '../panels/money.js';
import { Panel, Skeleton, Trouble } from '../panels/panel.js';
import { OrdersPanel } from '../panels/orders-panel.js';
import { PriceChart } from '../panels/price-chart.js';
import { RewardPanel } from '../panels/reward-panel.js';
import { SettlementList } from '../panels/settlement-list.js';
import { SlotClock } from '../panels/slot-clock.js';
import { TradeTape } from '../panels/trade-tape.js';
import { WishesPanel } from '../panels/wishes-panel.js';
import { powerOf } from '../power.js';
import { tradesAhead } from '../strategies.js';
import { mapResource, useResource, type Resource } from '../resource.js';

const DAY_MILLIS = 86_400_000;
/** What was saved before that is not told. */
const MOST_MONTHS = 24;

interface HouseholdPageProps {
  api: Api;
  household: Resource<Household>;
  live: Live;
}

export function HouseholdPage({ api, household, live }: HouseholdPageProps): ReactNode {
  const { microgrid } = live;
  const problem = household.problem ?? microgrid.problem;
  if (household.data && microgrid.data) {
    return <Panels api={api} household={household.data} microgrid={microgrid.data} live={live} />;
  }
  if (problem) {
    const retry = (): void => {
      household.reload();
      microgrid.reload();
    };
    return (
      <div className="within sheet">
        <Trouble problem={problem} retry={retry} />
      </div>
    );
  }
  return <Waiting />;
}

/** The page's outline while it is not known whose it is. */
function Waiting(): ReactNode {
  const panels = { price: 'Price on the street', tape: 'Trades', energy: 'Your energy today' };
  return (
    <>
      <div className="band hero">
        <div className="within hero-grid waiting">
          <Skeleton lines={5} />
          <Skeleton lines={4} />
        </div>
      </div>
      <div className="within sheet">
        {Object.entries(panels).map(([name, title]) => (
          <Panel key={name} name={name} title={title}>
            <Skeleton lines={6} />
          </Panel>
        ))}
      </div>
    </>
  );
}

interface PanelsProps {
  api: Api;
  household: Household;
  microgrid: Microgrid;
  live: Live;
}

function Panels({ api, household, microgrid, live }: PanelsProps): ReactNode {
  const { currency, timeZone } = microgrid;
  const { state } = live.feed;
  const slots = useSlots(live, microgrid);
  const tape = useTape(live, microgrid.microgrid);
  const { recent, today } = useSettlements(live, household, microgrid);
  const ever = useSavedEver(live, household, microgrid);
  const fairness = useHouseholdFairness(live, household.household);
  const path = `/v1/households/${household.household}`;
  const balances = useResource(
    `balances ${household.household}`,
    (signal) => api.get<Balances>(`${path}/balances`, signal),
    state.versions.household + state.versions.slots,
  );
  const limits = useResource(
    `limits ${household.household}`,
    (signal) => api.get<Limits>(`${path}/limits`, signal),
    state.versions.terms,
  );
  const own = useResource(
    `meters ${household.household}`,
    async (signal) => (await api.get<Page<HouseholdMeter>>(`${path}/meters`, signal)).items,
    `${state.versions.slots} ${state.versions.meters}`,
  );
  const claim = (meter: string, code: string): Promise<ClaimedMeter> =>
    api.post<ClaimedMeter>(`${path}/meters/${meter}/claim`, { code });
  const ahead = tradesAhead(microgrid.mechanism);
  // A plan changes with every quote, and so before every slot.
  const strategy = useResource(
    ahead ? `strategy ${household.household}` : null,
    (signal) => api.get<StrategyChoice>(`${path}/strategy`, signal),
    state.versions.slots,
  );

  const meters = household.meters.map((meter) => meter.meter);
  const power = meters.flatMap((meter) => state.power[meter] ?? []);
  const readAt = power.length > 0 ? Math.max(...power.map((meter) => meter.at)) : null;
  const has = (role: string): boolean => household.meters.some((meter) => meter.role === role);
  const last = slots.data?.findLast((slot) => slot.clearingPriceMicroPerKwh !== null);
  const price = last?.clearingPriceMicroPerKwh ?? null;

  // Limits and wishes are one answer: what is not changed is sent back as it is.
  const saveLimits = async (changed: Partial<Limits>): Promise<Limits> => {
    const { sellAboveMicroPerKwh, buyBelowMicroPerKwh, wishes } = { ...limits.data, ...changed };
    const saved = await api.put<Limits>(`${path}/limits`, {
      sellAboveMicroPerKwh,
      buyBelowMicroPerKwh,
      wishes,
    });
    limits.reload();
    return saved;
  };
  const save = (sell: Limit, buy: Limit): Promise<Limits> =>
    saveLimits({ sellAboveMicroPerKwh: sell, buyBelowMicroPerKwh: buy });

  const choose = async (chosen: Pick<StrategyChoice, 'strategy' | 'enabled'>) => {
    const saved = await api.put<StrategyChoice>(`${path}/strategy`, chosen);
    strategy.reload();
    return saved;
  };

  return (
    <>
      <div className="band hero">
        <div className="within hero-grid">
          <LivePower
            power={powerOf(power)}
            hasGeneration={has('generation')}
            hasStorage={has('storage')}
            stale={live.feed.status === 'offline'}
            readAt={readAt === null ? null : formatTime(readAt, timeZone)}
          />
          <div className="hero-side">
            <SlotClock microgrid={microgrid} clock={live.clock} />
            <dl className="hero-figures">
              <div>
                <dt>Street’s price</dt>
                <dd data-testid="price-now">
                  {price === null ? '–' : formatPrice(price, currency)}
                  <span>
                    per kWh{last ? `, slot ${formatSlot(last.slot, microgrid)}` : ', no trade yet'}
                  </span>
                </dd>
              </div>
              <div>
                <dt>Better off today</dt>
                <dd>
                  {today.data ? <Money micro={today.data.savedMicro} currency={currency} /> : '–'}
                  <span>than by the tariff</span>
                </dd>
              </div>
            </dl>
          </div>
        </div>
      </div>
      <div className="within sheet">
        <ClaimPanel meters={own} microgrid={microgrid} claim={claim} />
        <PriceChart slots={slots} microgrid={microgrid} />
        <TradeTape tape={tape} microgrid={microgrid} />
        <EnergyToday today={today} currency={currency} />
        <MoneyPanel
          balances={balances}
          today={today}
          ever={ever}
          currency={currency}
          hasStorage={has('storage')}
        />
        <LimitsPanel
          limits={limits}
          microgrid={microgrid}
          priceMicroPerKwh={price}
          readOnly={false}
          save={save}
        />
        {microgrid.mechanism === 'metered' && microgrid.pricing === 'clearing' && (
          <WishesPanel
            limits={limits}
            microgrid={microgrid}
            save={(wishes) => saveLimits({ wishes })}
          />
        )}
        {ahead && (
          <OrdersPanel
            api={api}
            household={household.household}
            microgrid={microgrid}
            version={state.versions.household + state.versions.slots}
          />
        )}
        {ahead && (
          <AutopilotPanel
            choice={strategy}
            microgrid={microgrid}
            hasStorage={has('storage')}
            save={choose}
          />
        )}
        <FairnessPanel slots={fairness} microgrid={microgrid} />
        <SettlementList api={api} settlements={recent} microgrid={microgrid} />
        <RewardPanel live={live} household={household.household} microgrid={microgrid} />
        <BillLinesPanel live={live} household={household.household} microgrid={microgrid} />
      </div>
    </>
  );
}

/** The closed slots of the last day, oldest first. */
export function useSlots(live: Live, microgrid: Microgrid): Resource<ClosedSlot[]> {
  return useResource(
    `slots ${microgrid.microgrid}`,
    async (signal) => {
      const from = new Date(Date.parse(microgrid.slot.start) - DAY_MILLIS).toISOString();
      const path = `/v1/microgrids/${microgrid.microgrid}/slots?from=${from}`;
      const { items } = await live.api.list<ClosedSlot>(path, signal);
      return items.sort((a, b) => Date.parse(a.slot) - Date.parse(b.slot));
    },
    live.feed.state.versions.slots,
  );
}

/** The tape as it was read, and what the feed added since. */
export function useTape(live: Live, microgridId: string): Resource<TapeTrade[]> {
  const { tape, base } = live.feed.state;
  const read = useResource(
    `tape ${microgridId}`,
    async (signal) => {
      const path = `/v1/microgrids/${microgridId}/trades?limit=200`;
      return (await live.api.get<{ items: TapeTrade[] }>(path, signal)).items;
    },
    base,
  );
  return useMemo(() => mapResource(read, (trades) => [...withTrades(tape, trades)]), [read, tape]);
}

/** The settlements of two days, newest first, and those of today added up. */
function useSettlements(
  live: Live,
  household: Household,
  microgrid: Microgrid,
): { recent: Resource<Settlement[]>; today: Resource<DayBook> } {
  const { versions } = live.feed.state;
  const midnight = dayStart(Date.parse(microgrid.now), microgrid.timeZone);
  const recent = useResource(
    `settlements ${household.household} ${midnight}`,
    async (signal) => {
      const from = new Date(midnight - DAY_MILLIS).toISOString();
      const path = `/v1/households/${household.household}/settlements?from=${from}`;
      return (await live.api.list<Settlement>(path, signal)).items;
    },
    versions.household + versions.slots,
  );
  const today = useMemo(
    () =>
      mapResource(recent, (all) =>
        addUp(all.filter((settlement) => Date.parse(settlement.slot) >= midnight)),
      ),
    [recent, midnight],
  );
  return { recent, today };
}

/** What was saved in all: past months are read once, the current one with every settlement. */
function useSavedEver(live: Live, household: Household, microgrid: Microgrid): Resource<SavedEver> {
  const { timeZone } = microgrid;
  const first = Math.max(Date.parse(household.activeFrom), Date.parse(microgrid.startsAt));
  const months = monthsBetween(first, Date.parse(microgrid.now), timeZone).slice(-MOST_MONTHS);
  const current = months.at(-1)!;
  const path = `/v1/households/${household.household}/statements`;
  const savedIn = async (month: string, signal: AbortSignal): Promise<number> => {
    const { items } = await live.api.get<Page<Statement>>(`${path}?month=${month}`, signal);
    return items.reduce((sum, statement) => sum + statement.savedMicro, 0);
  };
  const { versions, base } = live.feed.state;
  const past = useResource(
    `past ${household.household} ${current}`,
    async (signal) => {
      const all = await Promise.all(months.slice(0, -1).map((month) => savedIn(month, signal)));
      return all.reduce((sum, saved) => sum + saved, 0);
    },
    base,
  );
  const now = useResource(
    `saved ${household.household} ${current}`,
    (signal) => savedIn(current, signal),
    versions.household + versions.slots,
  );
  const since = formatDate(Math.max(first, monthStart(months[0]!, timeZone)), timeZone);
  return useMemo(
    () =>
      mapResource(now.data === undefined ? now : past, (before) => ({
        savedMicro: before + (now.data ?? 0),
        since,
      })),
    [past, now, since],
  );
}
