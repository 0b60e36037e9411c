import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { networkAuction } from '../../src/market/network-auction.js';
import type { NetworkNode } from '../../src/market/network.js';
import {
  clearWithPreferences,
  type PreferenceInput,
  type PreferenceResult,
  type PreferredTrade,
  type QualityAsk,
  type WishingBid,
} from '../../src/market/preferences.js';
import type { Wish } from '../../src/market/wish-graph.js';
import { anyBook } from './network-books.js';
import { maximum } from './network-oracle.js';

const RUNS = Number(process.env['NETWORK_RUNS'] ?? 80);
const SEED = Number(process.env['NETWORK_SEED'] ?? Date.now() % 2 ** 31);

type Network = readonly NetworkNode[];

/** The wires from a node up to the root. */
function wayUp(network: Network, from: string): NetworkNode[] {
  const node = network.find(({ id }) => id === from)!;
  return node.parent === null ? [] : [node, ...wayUp(network, node.parent)];
}

/** The wires between a seller and a buyer, in the direction of the energy. */
function wayBetween(network: Network, from: string, to: string) {
  const [up, down] = [wayUp(network, from), wayUp(network, to)];
  return [
    ...up.filter((wire) => !down.includes(wire)).map((wire) => ({ wire, sign: 1 })),
    ...down.filter((wire) => !up.includes(wire)).map((wire) => ({ wire, sign: -1 })),
  ];
}

function meets(network: Network, wish: Wish, ask: QualityAsk): boolean {
  if (wish.kind === 'neighbor') return ask.trader === wish.trader;
  if (wish.kind === 'solar') return ask.solar === true;
  return (
    ask.node === wish.node || wayUp(network, ask.node).some(({ parent }) => parent === wish.node)
  );
}

/** One variable for every pair: worth, best premium, and the fees of the way; wires carry what is left. */
function linearProgramWelfare({ bids, asks, network }: PreferenceInput): number {
  const terms: string[] = [];
  const rows = new Map<string, string[]>();
  const bounds: string[] = [];
  const inRow = (key: string, term: string) => rows.set(key, [...(rows.get(key) ?? []), term]);
  bids.forEach((bid, b) =>
    asks.forEach((ask, a) => {
      const way = wayBetween(network, ask.node, bid.node);
      const met = (bid.wishes ?? []).filter((wish) => meets(network, wish, ask));
      const premium = Math.max(0, ...met.map((wish) => wish.premium));
      const fees = way.reduce((sum, { wire }) => sum + wire.feePerUnit, 0);
      const worth = bid.price + premium - ask.price - fees;
      terms.push(`${worth < 0 ? '-' : '+'} ${Math.abs(worth)} x${b}_${a}`);
      bounds.push(`x${b}_${a} >= 0`);
      inRow(`<= ${bid.quantity} b${b}`, `+ x${b}_${a}`);
      inRow(`<= ${ask.quantity} a${a}`, `+ x${b}_${a}`);
      for (const { wire, sign } of way) {
        const { id, capacityUp, capacityDown } = wire;
        const [more, less] = sign === 1 ? ['+', '-'] : ['-', '+'];
        if (capacityUp != null) inRow(`<= ${capacityUp} u${id}`, `${more} x${b}_${a}`);
        if (capacityDown != null) inRow(`<= ${capacityDown} d${id}`, `${less} x${b}_${a}`);
      }
    }),
  );
  const limits = [...rows].map(
    ([key, row]) => `${row.join(' ')} ${key.split(' ').slice(0, 2).join(' ')}`,
  );
  return maximum(terms, limits, bounds);
}

function faultsOf({ bids, asks, network }: PreferenceInput, result: PreferenceResult): string[] {
  const faults: string[] = [];
  const flow = new Map<string, number>();
  const sellerPrice = new Map<QualityAsk, number>();
  const served = new Map<WishingBid | QualityAsk, number>();
  const sum = { worth: 0, fees: 0, rent: 0 };
  for (const trade of result.trades) {
    const { bid, ask, quantity, wish } = trade;
    const way = wayBetween(network, ask.node, bid.node);
    const fee = way.reduce((all, { wire }) => all + wire.feePerUnit, 0);
    const most = bid.price + (wish?.premium ?? 0);
    if (quantity <= 0) faults.push('a trade of nothing');
    if (wish && !(bid.wishes?.includes(wish) && meets(network, wish, ask)))
      faults.push('wish not met');
    if (trade.feePerUnit !== fee)
      faults.push(`${ask.id} > ${bid.id}: a fee of ${trade.feePerUnit}`);
    if (trade.buyerPrice > most) faults.push(`${bid.id} pays ${trade.buyerPrice}, at most ${most}`);
    if (trade.sellerPrice < ask.price) faults.push(`${ask.id} gets ${trade.sellerPrice}`);
    if (trade.extraPerUnit < 0 || trade.extraPerUnit > (wish?.premium ?? 0)) {
      faults.push(`${bid.id} pays ${trade.extraPerUnit} for its wish`);
    }
    if ((sellerPrice.get(ask) ?? trade.sellerPrice) !== trade.sellerPrice) {
      faults.push(`${ask.id} has two prices`);
    }
    sellerPrice.set(ask, trade.sellerPrice);
    for (const { wire, sign } of way) {
      flow.set(wire.id, (flow.get(wire.id) ?? 0) + sign * quantity);
    }
    for (const order of [bid, ask]) served.set(order, (served.get(order) ?? 0) + quantity);
    sum.worth += quantity * (most - ask.price - fee);
    sum.fees += quantity * fee;
    sum.rent += quantity * (trade.buyerPrice - trade.sellerPrice - fee);
  }
  for (const order of [...bids, ...asks]) {
    const filled = served.get(order) ?? 0;
    if (filled > order.quantity) faults.push(`${order.id} is served ${filled}`);
    if (result.filled.get(order) !== filled) faults.push(`${order.id}: trades do not add up`);
  }
  for (const { id, capacityUp, capacityDown } of network) {
    const amount = flow.get(id) ?? 0;
    if (amount > (capacityUp ?? Infinity) || -amount > (capacityDown ?? Infinity)) {
      faults.push(`${id} carries ${amount}`);
    }
  }
  if (sum.worth !== result.welfare) faults.push('the welfare does not add up');
  if (sum.fees !== result.fees || sum.rent !== result.congestionRent)
    faults.push('money is missing');
  if (result.congestionRent < 0) faults.push('the wires pay');
  return faults;
}

/** Up to two wishes a bid, some for neighbors that sell nothing; half of the energy is from the sun. */
function wishfulBook(): fc.Arbitrary<PreferenceInput> {
  const wish = fc.record({ kind: fc.nat(2), premium: fc.nat(6), which: fc.nat(8) });
  return fc
    .record({
      book: anyBook(),
      wishes: fc.array(fc.array(wish, { maxLength: 2 }), { minLength: 10, maxLength: 10 }),
      solar: fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }),
    })
    .map(({ book, wishes, solar }) => ({
      ...book,
      asks: book.asks.map((ask, index) => ({ ...ask, solar: solar[index]! })),
      bids: book.bids.map((bid, index) => ({
        ...bid,
        wishes: wishes[index]!.map(({ kind, premium, which }): Wish => {
          if (kind === 0) return { kind: 'neighbor', trader: `a-trader${which}`, premium };
          if (kind === 1) return { kind: 'solar', premium };
          const above = [bid.node, ...wayUp(book.network, bid.node).map(({ parent }) => parent!)];
          return { kind: 'feeder', node: above[which % above.length]!, premium };
        }),
      })),
    }));
}

describe('preferences', () => {
  test(`reach the welfare of the linear program over all pairs (seed ${SEED})`, () => {
    fc.assert(
      fc.property(wishfulBook(), (book) => {
        const result = clearWithPreferences(book);
        expect(faultsOf(book, result)).toEqual([]);
        expect(result.welfare).toBe(linearProgramWelfare(book));
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('without wishes, and with premiums of nothing, everybody is served as in the network auction', () => {
    const none = (bids: readonly WishingBid[]) => bids.map((bid) => ({ ...bid, wishes: [] }));
    const free = (bids: readonly WishingBid[]) =>
      bids.map((bid) => ({ ...bid, wishes: bid.wishes!.map((wish) => ({ ...wish, premium: 0 })) }));
    fc.assert(
      fc.property(wishfulBook(), fc.boolean(), (book, isFree) => {
        const input = { ...book, bids: isFree ? free(book.bids) : none(book.bids) };
        const [plain, result] = [networkAuction(input), clearWithPreferences(input)];
        expect(result.filled).toEqual(plain.filled);
        expect(result).toMatchObject({
          welfare: plain.welfare,
          welfareWithout: plain.welfare,
          fees: plain.fees,
          congestionRent: plain.congestionRent,
          premiumsMet: 0,
        });
        expect(result.trades).toEqual(
          plain.trades.map((trade) => ({ ...trade, wish: null, extraPerUnit: 0 })),
        );
      }),
      { numRuns: 100 },
    );
  });

  test('wishes never lower welfare, and cost the street no more than the premiums they bring', () => {
    fc.assert(
      fc.property(wishfulBook(), (book) => {
        const { welfare, welfareWithout, premiumsMet, wishes } = clearWithPreferences(book);
        expect(welfare).toBeGreaterThanOrEqual(welfareWithout);
        expect(welfare - premiumsMet).toBeLessThanOrEqual(welfareWithout);
        for (const { extra, metQuantity, filled, bid } of wishes) {
          const premium = Math.max(...bid.wishes!.map((wish) => wish.premium));
          expect(extra).toBeLessThanOrEqual(premium * metQuantity);
          expect(metQuantity).toBeLessThanOrEqual(filled);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('do not depend on the order of the rows', () => {
    const shuffled = wishfulBook().chain((book) =>
      fc.record({
        book: fc.constant(book),
        bids: fc.shuffledSubarray([...book.bids], { minLength: book.bids.length }),
        asks: fc.shuffledSubarray([...book.asks], { minLength: book.asks.length }),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ book, ...rows }) => {
        expect(clearWithPreferences({ ...book, ...rows })).toEqual(clearWithPreferences(book));
      }),
      { numRuns: 100 },
    );
  });
});

describe('a street with wishes', () => {
  const network: NetworkNode[] = [
    { id: 'station', parent: null, feePerUnit: 0 },
    { id: 'west', parent: 'station', feePerUnit: 5 },
    { id: 'east', parent: 'station', feePerUnit: 5 },
  ];
  const seller = (id: string, node: string, price: number, quantity: number, solar = false) => ({
    id,
    trader: id,
    node,
    price,
    quantity,
    solar,
  });
  const buyer = (id: string, node: string, quantity: number, ...wishes: Wish[]) => ({
    id,
    trader: id,
    node,
    price: 300,
    quantity,
    wishes,
  });
  const clear = (asks: QualityAsk[], bids: WishingBid[]) =>
    clearWithPreferences({ asks, bids, network, kThousandths: 0 });
  const brief = (trades: readonly PreferredTrade[]) =>
    trades
      .map(
        ({ ask, bid, quantity, wish, extraPerUnit }) =>
          `${ask.id} > ${bid.id}: ${quantity}${wish ? ` ${wish.kind} +${extraPerUnit}` : ''}`,
      )
      .sort();

  test('a neighbor is preferred for nothing where nobody has to give way', () => {
    const asks = [seller('Ann', 'west', 50, 500), seller('Ben', 'west', 50, 500)];
    const wish: Wish = { kind: 'neighbor', trader: 'Ben', premium: 30 };
    const result = clear(asks, [buyer('Cy', 'west', 400, wish), buyer('Di', 'west', 400)]);
    expect(brief(result.trades)).toEqual(['Ann > Di: 400', 'Ben > Cy: 400 neighbor +0']);
    expect(result.wishes[0]).toMatchObject({ metQuantity: 400, extra: 0, paid: 400 * 50 });
    expect(result.welfare - result.premiumsMet).toBe(result.welfareWithout);
  });

  test('the sun goes to whoever pays most for it, at what the next would have paid', () => {
    const asks = [seller('Sun', 'west', 50, 300, true), seller('Gas', 'west', 50, 900)];
    const solar = (premium: number): Wish => ({ kind: 'solar', premium });
    const result = clear(asks, [
      buyer('Cy', 'west', 300, solar(40)),
      buyer('Di', 'west', 300, solar(25)),
      buyer('Ed', 'west', 300),
    ]);
    expect(brief(result.trades)).toEqual([
      'Gas > Di: 300',
      'Gas > Ed: 300',
      'Sun > Cy: 300 solar +25',
    ]);
    const sun = result.trades.find(({ ask }) => ask.id === 'Sun')!;
    expect(sun).toMatchObject({ buyerPrice: 75, sellerPrice: 75 });
    expect(result.wishes.map(({ bid, extra }) => [bid.id, extra])).toEqual([
      ['Cy', 300 * 25],
      ['Di', 0],
    ]);
  });

  test('the own feeder is preferred as far as the premium covers what it costs more', () => {
    const asks = [seller('Near', 'west', 70, 400), seller('Far', 'east', 50, 400)];
    const own = (premium: number): Wish => ({ kind: 'feeder', node: 'west', premium });
    const near = (premium: number) =>
      brief(clear(asks, [buyer('Cy', 'west', 300, own(premium))]).trades);
    expect(near(9)).toEqual(['Far > Cy: 300']);
    expect(near(11)).toEqual(['Near > Cy: 300 feeder +10']);
    const { welfare, premiumsMet, welfareWithout } = clear(asks, [
      buyer('Cy', 'west', 300, own(11)),
    ]);
    expect(welfareWithout - (welfare - premiumsMet)).toBe(300 * 10);
  });

  test('what is wrong with a wish is said', () => {
    const wishing = (wish: Wish) => () => clear([], [buyer('Cy', 'west', 1, wish)]);
    expect(wishing({ kind: 'solar', premium: -1 })).toThrow('order Cy has a negative premium');
    expect(wishing({ kind: 'feeder', node: 'east', premium: 1 })).toThrow(
      'feeder it is not on: east',
    );
    const many = Array.from({ length: 4000 }, (_, index) =>
      buyer(`b${index}`, 'west', 1, { kind: 'solar', premium: 1 }),
    );
    expect(() => clear([], many)).toThrow('4000 wishes are too many');
  });
});
