import { divideHalfEven } from '../src/units/integer.js';
import { formatMicro } from '../src/units/money.js';

/**
 * What one way of trading came to, and several side by side as a table: how much of what neighbors
 * could have traded they did, at what prices, and what each home has of it.
 */
export interface Outcome {
  claimedWh: number;
  matchableWh: number;
  /** Energy that homes took from and gave to the utility. */
  withGridWh: number;
  homes: HomeBill[];
  /** One for each slot in which something was traded. */
  prices: { priceMicroPerKwh: number; tradedWh: number }[];
}

/** Positive is paid. */
export interface HomeBill {
  household: string;
  costMicro: number;
  tariffCostMicro: number;
}

export interface Summary {
  claimedThousandths: number;
  claimedWh: number;
  matchableWh: number;
  withGridWh: number;
  /** What all homes together paid. */
  paidMicro: number;
  /** What all homes together have of trading, fees aside: the gains from trade. */
  savedMicro: number;
  price: { meanMicro: number; lowMicro: number; highMicro: number } | null;
  saved: { leastMicro: number; medianMicro: number; mostMicro: number; giniThousandths: number };
  /** Homes that paid more than by the tariff. */
  worseOff: string[];
}

/** Outcomes of several periods, homes added up. */
export function summaryOf(outcomes: readonly Outcome[]): Summary {
  const sum = (of: (outcome: Outcome) => number) =>
    outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const claimedWh = sum((outcome) => outcome.claimedWh);
  const matchableWh = sum((outcome) => outcome.matchableWh);
  const saved = new Map<string, number>();
  for (const { household, costMicro, tariffCostMicro } of outcomes.flatMap(({ homes }) => homes)) {
    saved.set(household, (saved.get(household) ?? 0) + tariffCostMicro - costMicro);
  }
  const sorted = [...saved.values()].sort((a, b) => a - b);
  return {
    claimedThousandths: ratio(claimedWh * 1000, matchableWh),
    claimedWh,
    matchableWh,
    withGridWh: sum((outcome) => outcome.withGridWh),
    paidMicro: sum(({ homes }) => homes.reduce((paid, { costMicro }) => paid + costMicro, 0)),
    savedMicro: sorted.reduce((total, micro) => total + micro, 0),
    price: priceOf(outcomes.flatMap(({ prices }) => prices)),
    saved: {
      leastMicro: sorted[0] ?? 0,
      medianMicro: sorted[Math.floor((sorted.length - 1) / 2)] ?? 0,
      mostMicro: sorted.at(-1) ?? 0,
      giniThousandths: giniThousandths(sorted),
    },
    worseOff: [...saved].filter(([, micro]) => micro < 0).map(([household]) => household),
  };
}

/** How unevenly savings fall: 0 when all have the same, towards 1000 when one has all. */
export function giniThousandths(ascending: readonly number[]): number {
  const total = ascending.reduce((sum, each) => sum + each, 0);
  if (total <= 0) return 0;
  const count = ascending.length;
  const weighted = ascending.reduce(
    (sum, each, index) => sum + BigInt(2 * (index + 1) - count - 1) * BigInt(each),
    0n,
  );
  return Number(divideHalfEven(weighted * 1000n, BigInt(count) * BigInt(total)));
}

/** A line of the table: what was tried, and what came of it or why it could not be tried. */
export interface Line {
  mechanism: string;
  pricing: string;
  strategy: string;
  summary?: Summary;
  refused?: string;
}

/** As Markdown, as it stands in `docs/market.md`. */
export function table(lines: readonly Line[], currency: string): string {
  const rows = lines.map(({ mechanism, pricing, strategy, summary, refused }) => [
    mechanism,
    pricing,
    strategy,
    ...(summary ? cells(summary) : [refused ?? '', ...COLUMNS.slice(4).map(() => '')]),
  ]);
  const header = COLUMNS.map((column) => column.replace('{currency}', currency));
  return [header, header.map(() => '---'), ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

const COLUMNS = [
  'mechanism',
  'pricing',
  'strategy',
  'share matched',
  'matched kWh',
  'paid {currency}',
  'saved {currency}',
  'price mean (10–90 %)',
  'saved per home: least / median / most',
  'Gini',
  'with the grid kWh',
  'homes worse off',
];

function cells({ saved, price, ...summary }: Summary): string[] {
  const amount = (micro: number) => hundredths(micro, 10_000);
  const cents = (micro: number) => formatMicro(Math.round(micro / 1000) * 1000).padEnd(5, '0');
  return [
    `${hundredths(summary.claimedThousandths * 10, 1).replace(/0$/, '')} %`,
    kWh(summary.claimedWh),
    amount(summary.paidMicro),
    amount(summary.savedMicro),
    price === null
      ? '–'
      : `${cents(price.meanMicro)} (${cents(price.lowMicro)}–${cents(price.highMicro)})`,
    `${amount(saved.leastMicro)} / ${amount(saved.medianMicro)} / ${amount(saved.mostMicro)}`,
    hundredths(saved.giniThousandths, 10),
    kWh(summary.withGridWh),
    summary.worseOff.length === 0 ? 'none' : summary.worseOff.join(' '),
  ];
}

function kWh(wh: number): string {
  return Math.round(wh / 1000).toLocaleString('en');
}

/** A number of `unit`s with two decimals. */
function hundredths(value: number, unit: number): string {
  return (Math.round(value / unit) / 100).toFixed(2);
}

/** Weighted by energy: the mean, and the prices below which a tenth and nine tenths of it lie. */
function priceOf(prices: Outcome['prices']): Summary['price'] {
  const traded = prices
    .filter(({ tradedWh }) => tradedWh > 0)
    .sort((a, b) => a.priceMicroPerKwh - b.priceMicroPerKwh);
  const totalWh = traded.reduce((sum, { tradedWh }) => sum + tradedWh, 0);
  if (totalWh === 0) return null;
  const at = (tenths: number) => {
    let below = 0;
    return traded.find(({ tradedWh }) => (below += tradedWh) * 10 >= totalWh * tenths)!;
  };
  const weighted = traded.reduce(
    (sum, { priceMicroPerKwh, tradedWh }) => sum + BigInt(priceMicroPerKwh) * BigInt(tradedWh),
    0n,
  );
  return {
    meanMicro: Number(divideHalfEven(weighted, BigInt(totalWh))),
    lowMicro: at(1).priceMicroPerKwh,
    highMicro: at(9).priceMicroPerKwh,
  };
}

function ratio(numerator: number, denominator: number): number {
  if (denominator === 0) return 0;
  return Number(divideHalfEven(BigInt(numerator), BigInt(denominator)));
}
