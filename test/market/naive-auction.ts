import type { Ask, Bid } from '../../src/market/call-auction.js';

/**
 * The call auction's naive twin: every Wh is its own order. Best bids meet best asks unit by unit
 * while the bid is at least the ask; the interval is read off the units that were served and not.
 */
export interface NaiveResult {
  volume: number;
  welfare: number;
  interval: [number, number] | null;
}

export function naiveAuction(bids: readonly Bid[], asks: readonly Ask[]): NaiveResult {
  const wanted = units(bids).sort((a, b) => b - a);
  const offered = units(asks).sort((a, b) => a - b);
  let volume = 0;
  let welfare = 0;
  while (volume < Math.min(wanted.length, offered.length)) {
    if (wanted[volume]! < offered[volume]!) break;
    welfare += wanted[volume]! - offered[volume]!;
    volume += 1;
  }
  if (volume === 0) return { volume, welfare, interval: null };
  const low = Math.max(offered[volume - 1]!, wanted[volume] ?? -Infinity);
  const high = Math.min(wanted[volume - 1]!, offered[volume] ?? Infinity);
  return { volume, welfare, interval: [low, high] };
}

/** The most welfare that any pairing of single Wh reaches, by trying them all. */
export function bruteForceWelfare(bids: readonly Bid[], asks: readonly Ask[]): number {
  const wanted = units(bids);
  const offered = units(asks);
  const best = (buyer: number, left: readonly number[]): number => {
    if (buyer === wanted.length) return 0;
    let most = best(buyer + 1, left);
    left.forEach((ask, index) => {
      const rest = left.filter((_, other) => other !== index);
      most = Math.max(most, wanted[buyer]! - ask + best(buyer + 1, rest));
    });
    return most;
  };
  return best(0, offered);
}

function units(orders: readonly (Bid | Ask)[]): number[] {
  return orders.flatMap(({ price, quantity }) => Array.from({ length: quantity }, () => price));
}
