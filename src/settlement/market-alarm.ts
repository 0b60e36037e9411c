import { createHash } from 'node:crypto';
import type { Dealing, DealingAlarm, Severity } from '../market/dealing.js';
import type { PriceSetterAlarm } from '../market/price-setter.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';

/** An alarm as operators read it: named, with its reason in words and its evidence in figures. */

export type AlarmKind = DealingAlarm['kind'] | PriceSetterAlarm['kind'];

export interface MarketAlarm {
  readonly alarm: string;
  readonly kind: AlarmKind;
  readonly severity: Severity;
  /** Slots of [from, until). */
  readonly from: Instant;
  readonly until: Instant;
  readonly households: readonly string[];
  readonly reason: string;
  readonly evidence: JsonObject;
}

export interface Window {
  readonly from: Instant;
  readonly until: Instant;
}

/** One of the largest trades between two households of an alarm. */
export type TradeSample = Pick<Dealing, 'seller' | 'buyer' | 'energyWh'> & {
  readonly slot: Instant;
  readonly number: number;
  readonly tradeId: string;
};

/** @param samples the largest trades of the pairs it names, and of others */
export function dealingReport(
  microgridId: string,
  window: Window,
  alarm: DealingAlarm,
  samples: readonly TradeSample[],
): MarketAlarm {
  const { kind, households, linked, dealings, insularityBasisPoints, balanceBasisPoints } = alarm;
  const pairs = new Set(dealings.map(({ seller, buyer }) => `${seller} ${buyer}`));
  const trades = samples.filter(({ seller, buyer }) => pairs.has(`${seller} ${buyer}`));
  return {
    ...named(microgridId, window, kind, alarm.severity, households),
    reason: dealingReason(alarm),
    evidence: {
      linked,
      insularityBasisPoints,
      balanceBasisPoints,
      dealings: dealings.map((one) => ({ ...one })),
      trades: trades.map((trade) => ({ ...trade })),
    },
  };
}

export function priceSetterReport(
  microgridId: string,
  window: Window,
  alarm: PriceSetterAlarm,
): MarketAlarm {
  const { household, side, slots, tradedSlots, meanMoveMicroPerKwh, residualBasisPoints } = alarm;
  const verb = side === 'ask' ? 'raised' : 'lowered';
  const other = side === 'ask' ? 'the feed-in tariff' : 'the retail tariff';
  return {
    ...named(microgridId, window, alarm.kind, alarm.severity, [household]),
    reason: `In ${slots.length} of ${tradedSlots} slots with trades, the limit of ${household} alone ${verb} the price, by ${meanMoveMicroPerKwh} micro-units per kWh on average against ${other} as its limit.`,
    evidence: { side, slots: [...slots], tradedSlots, meanMoveMicroPerKwh, residualBasisPoints },
  };
}

function dealingReason({ kind, households, dealings, linked, ...figures }: DealingAlarm): string {
  const [one, other] = households;
  const energies = dealings.map(({ energyWh }) => `${energyWh} Wh`).join(' and ');
  const share = percent(figures.insularityBasisPoints);
  const owner = linked ? ' One person can act for both.' : '';
  switch (kind) {
    case 'wash-trades':
      return `${one} and ${other} sold each other ${energies}: at least ${share} of what each of them sold and bought.${owner}`;
    case 'linked-trades':
      return `${dealings[0]!.seller} sold ${dealings[0]!.buyer} ${dealings[0]!.energyWh} Wh, at least ${share} of its sales and of the other's purchases.${owner}`;
    case 'circular-trades':
      return `Energy went round ${[...households, one].join(' > ')}: ${energies}, at least ${share} of what each sold and bought.${linked ? ' One person can act for two of them.' : ''}`;
  }
}

function named(
  microgridId: string,
  { from, until }: Window,
  kind: AlarmKind,
  severity: Severity,
  households: readonly string[],
) {
  const alarm = createHash('sha256')
    .update(['neighborwatt/alarm/v1', microgridId, kind, until, ...households].join('\n'))
    .digest('hex')
    .slice(0, 32);
  return { alarm, kind, severity, from, until, households };
}

function percent(basisPoints: number): string {
  return `${Math.floor(basisPoints / 100)} %`;
}
