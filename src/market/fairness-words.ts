import type { Mechanism, SharingKey } from '../parties/microgrid.js';
import { formatMicro } from '../units/money.js';
import type { ClearingRules } from './clearing.js';
import type { Side } from './continuous-book.js';
import type { SharingRules } from './metered-sharing.js';
import type { Reason, ReasonCode } from './order-reasons.js';
import { SHARED } from './order-fate.js';
import type { BookFigures } from './fairness.js';

/** Reasons and rules in plain English, with the figures in them. */

export interface Wording {
  readonly currency: string;
  /** The local time of the slot, such as `from 12:15 to 12:30`. */
  readonly when: string;
}

/** The order that a reason is about, as far as words need it. */
interface Told extends Wording {
  readonly side: Side;
  /** Whether it is the household's standing order, its limits. */
  readonly standing: boolean;
  readonly rationing: ClearingRules['rationing'];
}

/** @example 'You bid 0.172 EUR/kWh, the last bid served was 0.175 EUR/kWh.' */
export function reasonWords(reason: Reason, told: Told): string {
  return WORDS[reason.code](reason, told);
}

type Words = (reason: Reason, told: Told) => string;

const WORDS: Readonly<Record<ReasonCode, Words>> = {
  filled: (reason, told) => {
    const [low, high] = ['lowestMicroPerKwh', 'highestMicroPerKwh'].map((name) =>
      price(reason, name, told),
    );
    const at = low === high ? `at ${low}` : `at ${low} to ${high}`;
    const limit = price(reason, 'limitMicroPerKwh', told);
    const wished = reason.figures['metWh'] === undefined ? '' : wishWords(reason, told);
    return `${reason.energyWh} Wh ${told.side === 'bid' ? 'bought' : 'sold'} ${at}; your limit was ${limit}.${wished}`;
  },
  'outside-tariffs': (reason, told) =>
    told.side === 'bid'
      ? `${limit(reason, told)}, which is less than the feed-in tariff of ${price(reason, 'feedInMicroPerKwh', told)}: no neighbor sells for less than the utility pays.`
      : `${limit(reason, told)}, which is more than the retail tariff of ${price(reason, 'retailMicroPerKwh', told)}: no neighbor pays more than the utility asks.`,
  wallet: ({ figures }) =>
    `Your wallet covered ${figures['coveredWh']} Wh of ${figures['wantedWh']} Wh.`,
  'taken-back': ({ energyWh }) =>
    `${energyWh} Wh were taken back before anybody met them, by you or for a newer order of yours that came to meet it.`,
  'not-met': (reason, told) => {
    const [other, best] = told.side === 'bid' ? ['asked', 'lowest ask'] : ['bid', 'highest bid'];
    const left =
      reason.figures['bestLeftMicroPerKwh'] === undefined
        ? ''
        : `; the ${best} left then was ${price(reason, 'bestLeftMicroPerKwh', told)}`;
    return `${limit(reason, told)}. Until the gate, all that was ${other} within that limit met better or earlier ${told.side}s${left}.`;
  },
  'not-at-once': (reason, told) =>
    `${limit(reason, told)}, at once or not at all: when it came, no more was left within that limit.`,
  'wallet-rounding': ({ energyWh }, { side }) =>
    `${energyWh} Wh were given up because ${side === 'bid' ? 'your' : "a buyer's"} wallet lacked some millionths once each trade was rounded.`,
  wish: ({ energyWh }, { side }) =>
    side === 'bid'
      ? `${energyWh} Wh went to a neighbor who pays a premium for a wish that they meet.`
      : `${energyWh} Wh were bought of others instead, by a neighbor who pays a premium for a wish that they meet.`,
  'no-counterpart': (_, { side }) =>
    `Nobody else ${side === 'bid' ? 'had energy to sell' : 'wanted to buy'} within reach in this slot.`,
  'beyond-limit': (reason, told) =>
    `${limit(reason, told)}, the ${told.side === 'bid' ? 'lowest ask' : 'highest bid'} was ${price(reason, 'bestMicroPerKwh', told)}.`,
  outbid: (reason, told) =>
    `${limit(reason, told)}, the last ${told.side} served was ${price(reason, 'lastServedMicroPerKwh', told)}.`,
  rationed: (reason, told) =>
    `${limit(reason, told)}, as did the last ${told.side}s served: of ${reason.figures['wantedAtLimitWh']} Wh at that limit ${reason.figures['servedAtLimitWh']} Wh could be served, ${SHARED[told.rationing]}.`,
  'own-orders': (reason, told) =>
    `${limit(reason, told)}; what was left within that limit was of your own household.`,
  'wire-full': (reason, told) => {
    const wire = `The wire of ${reason.figures['wire']} was full ${told.when}: it carries ${reason.figures['capacityWh']} Wh a slot ${told.side === 'bid' ? 'towards' : 'away from'} you.`;
    const beyond = price(reason, 'beyondMicroPerKwh', told);
    return told.side === 'bid'
      ? `${wire} Energy from beyond it would have cost ${beyond}, and ${lower(limit(reason, told))}.`
      : `${wire} Energy sold beyond it would have brought ${beyond}, and ${lower(limit(reason, told))}.`;
  },
  'wire-fees': (reason, told) => {
    const there = price(reason, 'thereMicroPerKwh', told);
    const fees = price(reason, 'feesMicroPerKwh', told);
    return told.side === 'bid'
      ? `${limit(reason, told)}; at ${reason.figures['node']} energy cost ${there}, and the wires from there take ${fees} more.`
      : `${limit(reason, told)}; at ${reason.figures['node']} energy brought ${there}, and the wires to there take ${fees} of it.`;
  },
  'node-price': (reason, told) =>
    `${limit(reason, told)}, the price at your place in the network was ${price(reason, 'priceMicroPerKwh', told)}.`,
  'beyond-price': (reason, told) =>
    `${limit(reason, told)}: your limit was ${told.side === 'bid' ? 'below' : 'above'} the community's price of ${price(reason, 'priceMicroPerKwh', told)}.`,
  'shared-out': ({ figures }) =>
    `Neighbors offered ${figures['pooledWh']} Wh, and ${figures['neededWh']} Wh were needed: ${BY_KEY[figures['key'] as SharingKey]}.`,
  'surplus-left': ({ figures }) =>
    `Of the ${figures['pooledWh']} Wh offered neighbors took ${figures['takenWh']} Wh: every seller sold the same part of its own.`,
};

const BY_KEY: Readonly<Record<SharingKey, string>> = {
  static: 'divided by fixed parts, which go unused where they are not needed',
  dynamic: 'divided in proportion to need',
  hybrid: 'divided by fixed parts, and what those left in proportion to need',
  cascade: 'divided rank after rank, in proportion to need within each',
};

/** How the price of a slot comes about, and where it stood. */
export function priceRuleWords(
  mechanism: Mechanism,
  { pricing, kThousandths }: Pick<ClearingRules, 'pricing' | 'kThousandths'>,
  { price: paid, interval, nodes }: BookFigures,
  { currency }: Wording,
): string {
  const money = (amount: number) => `${formatMicro(amount)} ${currency}/kWh`;
  const between = interval === null ? '' : `, from ${money(interval[0])} to ${money(interval[1])}`;
  const stood = paid === null ? '' : `: ${money(paid)}`;
  if (mechanism === 'continuous') {
    return 'Each trade has the price of the order that waited, the moment another came to meet it.';
  }
  switch (pricing) {
    case 'clearing':
      if (nodes.length > 0) {
        return `At each node one price, ${kThousandths / 10} % of the way up the range at which nobody willing is left out but by wires${stood}.`;
      }
      if (interval !== null && interval[0] === interval[1]) {
        return `One price for all trades: ${money(interval[0])}, the only one at which nobody willing is left out.`;
      }
      return `One price for all trades, ${kThousandths / 10} % of the way up the range in which nobody willing is left out${between}${stood}.`;
    case 'mid-market':
      return `One price for all trades: the middle of the feed-in and the retail tariff, within what all who trade agreed to${stood}.`;
    case 'supply-demand-ratio':
      return `One price for all trades: the more is offered for what is needed, the closer it is to the feed-in tariff, within what all who trade agreed to${stood}.`;
    case 'pay-as-bid':
      return 'Every trade has the price of its bid.';
    case 'fixed':
      return `The price that the community agreed on${stood}.`;
  }
}

/** How scarcity is shared. */
export function rationingWords(
  mechanism: Mechanism,
  { rationing }: Pick<ClearingRules, 'rationing'>,
  sharing: SharingRules | null,
): string {
  if (mechanism === 'continuous') return 'Better limits are met first, then who came first.';
  return sharing === null
    ? `Where the last limit served is that of several, they are served ${SHARED[rationing]}.`
    : `What neighbors offer is ${BY_KEY[sharing.key]}.`;
}

/** @example 'You bid 0.172 EUR/kWh' */
function limit(reason: Reason, told: Told): string {
  const at = price(reason, 'limitMicroPerKwh', told);
  if (told.side === 'bid') return told.standing ? `You pay up to ${at}` : `You bid ${at}`;
  return told.standing ? `You sell from ${at} on` : `You asked ${at}`;
}

/** What the wishes of an order came to, beside what it would have had if nobody had one. */
function wishWords({ figures }: Reason, { currency }: Wording): string {
  const money = (name: string) => `${formatMicro(Number(figures[name]))} ${currency}`;
  return ` Of it ${figures['metWh']} Wh were as you wished, for ${money('extraMicro')} more. Had nobody a wish, you would have bought ${figures['withoutWh']} Wh for ${money('withoutMicro')}.`;
}

function lower(words: string): string {
  return words.charAt(0).toLowerCase() + words.slice(1);
}

function price({ figures }: Reason, name: string, { currency }: Wording): string {
  return `${formatMicro(Number(figures[name]))} ${currency}/kWh`;
}
