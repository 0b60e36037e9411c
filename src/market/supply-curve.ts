/**
 * What a part of a network supplies at which price: steps of quantity, from the lowest price up. Curves
 * are blended, cut and shifted in logarithmic time a step, whatever they have grown from: balanced
 * search trees (treaps), their nodes in typed arrays, shifts handed down when a node is visited.
 */

/** A curve of the arena that made it; 0 is the empty one. Every operation uses up the curves it is given. */
export type Curve = number;

export class SupplyCurves {
  private readonly price: Float64Array;
  private readonly quantity: Float64Array;
  /** Quantity of the whole subtree. */
  private readonly mass: Float64Array;
  private readonly pending: Float64Array;
  private readonly left: Int32Array;
  private readonly right: Int32Array;
  private count = 1;
  /** What the last `cutAtPrice` left: no pair of them is made, as this is most of the work. */
  private below: Curve = 0;
  private above: Curve = 0;

  /** @param steps the most steps there will be: each given to `step`, and one for every cut */
  constructor(steps: number) {
    const size = steps + 1;
    this.price = new Float64Array(size);
    this.quantity = new Float64Array(size);
    this.mass = new Float64Array(size);
    this.pending = new Float64Array(size);
    this.left = new Int32Array(size);
    this.right = new Int32Array(size);
  }

  /** One step. @param quantity above zero */
  step(price: number, quantity: number): Curve {
    const node = this.count++;
    this.price[node] = price;
    this.quantity[node] = quantity;
    this.mass[node] = quantity;
    return node;
  }

  total(curve: Curve): number {
    return this.mass[curve]!;
  }

  /** The lowest price; Infinity for the empty curve: it never supplies. */
  lowest(curve: Curve): number {
    return this.end(curve, this.left, Infinity);
  }

  /** The highest price; −Infinity for the empty curve. */
  highest(curve: Curve): number {
    return this.end(curve, this.right, -Infinity);
  }

  shift(curve: Curve, by: number): Curve {
    if (curve !== 0) {
      this.price[curve]! += by;
      this.pending[curve]! += by;
    }
    return curve;
  }

  /** The first `quantity` of the curve and the rest; a step between the two is divided. */
  cut(curve: Curve, quantity: number): [Curve, Curve] {
    if (quantity <= 0) return [0, curve];
    if (quantity >= this.total(curve)) return [curve, 0];
    this.handDown(curve);
    const before = this.mass[this.left[curve]!]!;
    if (quantity <= before) {
      const [first, rest] = this.cut(this.left[curve]!, quantity);
      this.left[curve] = rest;
      return [first, this.weigh(curve)];
    }
    const own = this.quantity[curve]!;
    if (quantity >= before + own) {
      const [first, rest] = this.cut(this.right[curve]!, quantity - before - own);
      this.right[curve] = first;
      return [this.weigh(curve), rest];
    }
    const other = this.step(this.price[curve]!, before + own - quantity);
    const above = this.join(other, this.right[curve]!);
    this.quantity[curve] = quantity - before;
    this.right[curve] = 0;
    return [this.weigh(curve), above];
  }

  /** One curve behind the other. @param second nowhere cheaper than `first` */
  join(first: Curve, second: Curve): Curve {
    if (first === 0) return second;
    if (second === 0) return first;
    if (rank(first) > rank(second)) {
      this.handDown(first);
      this.right[first] = this.join(this.right[first]!, second);
      return this.weigh(first);
    }
    this.handDown(second);
    this.left[second] = this.join(first, this.left[second]!);
    return this.weigh(second);
  }

  /** What both supply at each price. */
  blend(one: Curve, other: Curve): Curve {
    if (one === 0) return other;
    if (other === 0) return one;
    const [top, rest] = rank(one) > rank(other) ? [one, other] : [other, one];
    this.handDown(top);
    this.cutAtPrice(rest, this.price[top]!);
    const { below, above } = this;
    this.left[top] = this.blend(this.left[top]!, below);
    this.right[top] = this.blend(this.right[top]!, above);
    return this.weigh(top);
  }

  /** Leaves what is cheaper than `price` in `below` and the rest in `above`. */
  private cutAtPrice(curve: Curve, price: number): void {
    if (curve === 0) {
      this.below = 0;
      this.above = 0;
      return;
    }
    this.handDown(curve);
    if (this.price[curve]! < price) {
      this.cutAtPrice(this.right[curve]!, price);
      this.right[curve] = this.below;
      this.below = this.weigh(curve);
    } else {
      this.cutAtPrice(this.left[curve]!, price);
      this.left[curve] = this.above;
      this.above = this.weigh(curve);
    }
  }

  private end(curve: Curve, side: Int32Array, none: number): number {
    if (curve === 0) return none;
    this.handDown(curve);
    const next = side[curve]!;
    return next === 0 ? this.price[curve]! : this.end(next, side, none);
  }

  private handDown(curve: Curve): void {
    const by = this.pending[curve]!;
    if (by === 0) return;
    this.shift(this.left[curve]!, by);
    this.shift(this.right[curve]!, by);
    this.pending[curve] = 0;
  }

  private weigh(curve: Curve): Curve {
    this.mass[curve] =
      this.mass[this.left[curve]!]! + this.quantity[curve]! + this.mass[this.right[curve]!]!;
    return curve;
  }
}

/**
 * Which of two nodes stands higher: a fixed scatter of their numbers (the finisher of MurmurHash3),
 * because a treap is balanced as long as this has nothing to do with the prices.
 */
function rank(node: number): number {
  let bits = Math.imul(node ^ (node >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
