import { createRequire } from 'node:module';
import type highsTypes from 'highs';
import type { LimitOrder } from '../../src/market/call-auction.js';

/**
 * The auction's oracle that knows nothing of auctions: a linear program over every pair of a bid and
 * an ask of different traders, solved by HiGHS. Whole quantities make its corners whole.
 */

// The package tells types of its CommonJS form only.
const loadHighs = createRequire(import.meta.url)('highs') as typeof highsTypes.default;
const highs = await loadHighs();

export interface Optimum {
  readonly welfare: number;
  readonly volume: number;
}

/** The most welfare, and the most volume that goes with it. */
export function optimumOf(bids: readonly LimitOrder[], asks: readonly LimitOrder[]): Optimum {
  const pairs = bids.flatMap((bid, i) =>
    asks.flatMap((ask, j) =>
      bid.trader === ask.trader || bid.price < ask.price
        ? []
        : [{ name: `x${i}_${j}`, i, j, gain: bid.price - ask.price }],
    ),
  );
  if (pairs.length === 0) return { welfare: 0, volume: 0 };
  const bounds = [
    ...bids.map(({ quantity }, row) =>
      limit(
        pairs.filter(({ i }) => i === row),
        quantity,
      ),
    ),
    ...asks.map(({ quantity }, row) =>
      limit(
        pairs.filter(({ j }) => j === row),
        quantity,
      ),
    ),
  ].filter((line) => line !== '');
  const welfare = solve(
    pairs.map(({ name, gain }) => `${gain} ${name}`),
    bounds,
  );
  // Of all optima the largest: the welfare is fixed and the volume maximised.
  const gains = pairs.map(({ name, gain }) => `${gain} ${name}`).join(' + ');
  const volume = solve(
    pairs.map(({ name }) => name),
    [...bounds, ` optimum: ${gains} >= ${welfare}`],
  );
  return { welfare, volume };
}

function limit(pairs: readonly { name: string }[], quantity: number): string {
  return pairs.length === 0 ? '' : ` ${pairs.map(({ name }) => name).join(' + ')} <= ${quantity}`;
}

function solve(terms: readonly string[], bounds: readonly string[]): number {
  const solution = highs.solve(
    `Maximize\n obj: ${terms.join(' + ')}\nSubject To\n${bounds.join('\n')}\nEnd`,
    { output_flag: false },
  );
  if (solution.Status !== 'Optimal') throw new Error(`the linear program is ${solution.Status}`);
  return Math.round(solution.ObjectiveValue);
}
