import { safeInteger } from '../units/integer.js';
import type { LimitOrder } from './pairing.js';

/**
 * One side of a continuous book: a queue at each price, first come first, and a heap of the prices, so
 * that the best is at hand and an order comes and goes without touching the others.
 */

export interface RestingOrder {
  readonly order: LimitOrder;
  /** How much of it is not traded yet; above zero while it rests. */
  remaining: number;
  readonly level: Level;
  before: RestingOrder | null;
  after: RestingOrder | null;
}

export interface Level {
  /** Lower is better: an ask's price, a bid's price with its sign turned. */
  readonly key: number;
  readonly price: number;
  first: RestingOrder | null;
  last: RestingOrder | null;
  /** What remains of all its orders. */
  quantity: number;
}

export class BookSide {
  readonly #sign: 1 | -1;
  readonly #levels = new Map<number, Level>();
  /** A binary heap by key. A level that ran empty stays until it gets to the top. */
  readonly #heap: Level[] = [];

  constructor(side: 'bid' | 'ask') {
    this.#sign = side === 'bid' ? -1 : 1;
  }

  /** The level whose first order is next to trade at `limit` or better; null when none is. */
  bestWithin(limit: number): Level | null {
    let top = this.#heap[0];
    while (top !== undefined && top.first === null) {
      this.#dropTop();
      top = this.#heap[0];
    }
    return top !== undefined && top.key <= this.#sign * limit ? top : null;
  }

  /** Puts an order behind all that rest at its price. */
  add(order: LimitOrder, remaining: number): RestingOrder {
    const level = this.#levels.get(order.price) ?? this.#open(order.price);
    const resting = { order, remaining, level, before: level.last, after: null };
    if (level.last === null) level.first = resting;
    else level.last.after = resting;
    level.last = resting;
    level.quantity = safeInteger(level.quantity + remaining, 'quantity at one price');
    return resting;
  }

  /** Whether others than this trader offer so much at `limit` or better. */
  offers(limit: number, quantity: number, trader: string): boolean {
    const reach = this.#sign * limit;
    let [total, byOthers] = [0, 0];
    for (const { quantity: atLevel } of this.#within(reach)) total += atLevel;
    if (total < quantity) return false;
    for (const { first } of this.#within(reach)) {
      for (let each = first; each !== null; each = each.after) {
        if (each.order.trader !== trader) byOthers += each.remaining;
        if (byOthers >= quantity) return true;
      }
    }
    return false;
  }

  /** The levels at which something rests, best first. */
  levels(): Level[] {
    const open = this.#heap.filter(({ first }) => first !== null);
    return open.sort((a, b) => a.key - b.key);
  }

  /** All that rests, in the order in which it will trade. */
  *orders(): Generator<RestingOrder> {
    for (const { first } of this.levels()) {
      for (let each = first; each !== null; each = each.after) yield each;
    }
  }

  /** The levels within reach in any order: below one that is out of reach all are. */
  *#within(reach: number): Generator<Level> {
    const open = [0];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const level = this.#heap[at];
      if (level === undefined || level.key > reach) continue;
      yield level;
      open.push(2 * at + 1, 2 * at + 2);
    }
  }

  #open(price: number): Level {
    const level: Level = { key: this.#sign * price, price, first: null, last: null, quantity: 0 };
    this.#levels.set(price, level);
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.key <= level.key) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = level;
    return level;
  }

  #dropTop(): void {
    const heap = this.#heap;
    this.#levels.delete(heap[0]!.price);
    const moved = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.key < heap[child]!.key) child += 1;
      if (heap[child]!.key >= moved.key) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
  }
}

/** Takes so much of a resting order; when nothing remains it leaves its queue. */
export function take(resting: RestingOrder, quantity: number): void {
  const { level, before, after } = resting;
  resting.remaining -= quantity;
  level.quantity -= quantity;
  if (resting.remaining > 0) return;
  if (before === null) level.first = after;
  else before.after = after;
  if (after === null) level.last = before;
  else after.before = before;
}
