/** A household's limits as typed, checked, and said back in plain words. */
import { parseMicro } from '../../src/units/money.js';
import { formatPrice } from './format.js';

export interface Tariff {
  retailMicroPerKwh: number;
  feedInMicroPerKwh: number;
  gridFeeMicroPerKwh: number;
}

/** A limit in micro-units per kWh, null where the household has none of its own. */
export type Limit = number | null;

export type ParsedLimit = { ok: true; limit: Limit } | { ok: false; reason: string };

/** Nobody means more than this; it catches cents typed as whole units. */
const MOST_MICRO_PER_KWH = 100_000_000;

/**
 * A price as people type it: point or comma, up to six decimals; empty means no limit of one's own.
 * @example parseLimit('0,125') // { ok: true, limit: 125_000 }
 */
export function parseLimit(typed: string): ParsedLimit {
  const text = typed.trim().replace(',', '.').replace(/^\./, '0.').replace(/\.$/, '');
  if (text === '') return { ok: true, limit: null };
  if (text.startsWith('-')) return { ok: false, reason: 'A price cannot be negative.' };
  if (/^\d+\.\d{7,}$/.test(text)) return { ok: false, reason: 'Use at most six decimals.' };
  let limit: number;
  try {
    limit = parseMicro(text);
  } catch {
    return { ok: false, reason: 'Write a price per kWh such as 0.12.' };
  }
  if (limit > MOST_MICRO_PER_KWH) {
    return { ok: false, reason: 'That is more than 100 per kWh. Is it in cents?' };
  }
  return { ok: true, limit };
}

/** What a limit to sell will do, at today's tariff. */
export function explainSell(limit: Limit, tariff: Tariff, currency: string): string {
  const feedIn = formatPrice(tariff.feedInMicroPerKwh, currency);
  if (limit === null || limit <= tariff.feedInMicroPerKwh) {
    return `You sell to neighbors whenever they want it: they always pay at least the grid’s ${feedIn}.`;
  }
  if (limit > tariff.retailMicroPerKwh) {
    return `No neighbor pays more than the retail price, so all your surplus goes to the grid at ${feedIn}.`;
  }
  const price = formatPrice(limit, currency);
  return `You sell to neighbors when the street’s price is ${price} or more. Otherwise your surplus goes to the grid at ${feedIn}.`;
}

/** What a limit to buy will do, at today's tariff. */
export function explainBuy(limit: Limit, tariff: Tariff, currency: string): string {
  const retail = formatPrice(tariff.retailMicroPerKwh, currency);
  if (limit === null || limit >= tariff.retailMicroPerKwh) {
    return `You buy from neighbors whenever they have some: it never costs more than the grid’s ${retail}${fee(tariff, currency)}.`;
  }
  if (limit < tariff.feedInMicroPerKwh) {
    return `No neighbor sells for less than the feed-in price, so all you need comes from the grid at ${retail}.`;
  }
  const price = formatPrice(limit, currency);
  return `You buy from neighbors when the street’s price is ${price} or less${fee(tariff, currency)}. Otherwise the grid supplies you at ${retail}.`;
}

/** What neighbors pay for the wires counts towards the buyer's limit. */
function fee({ gridFeeMicroPerKwh }: Tariff, currency: string): string {
  if (gridFeeMicroPerKwh === 0) return '';
  return `, the grid fee of ${formatPrice(gridFeeMicroPerKwh, currency)} included`;
}
