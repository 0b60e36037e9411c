/**
 * A circulation of least cost, improved arc by arc (successive shortest paths): it starts from one that
 * is the best for the arcs it has, with potentials that prove it, and stays so with every arc opened.
 * Integers in, integers out.
 */
export class LeastCostFlow {
  /** At all times, for every arc from u to v with room: cost + potential[u] − potential[v] ≥ 0. */
  readonly potential: Float64Array;
  // Arc e and its way back e ^ 1 stand side by side.
  private readonly to: number[] = [];
  private readonly cost: number[] = [];
  private readonly room: number[] = [];
  private readonly arcsFrom: number[][];
  private readonly distance: Float64Array;
  private readonly next: Int32Array;
  private readonly seen: Int32Array;
  private readonly queue: NodeQueue;
  private search = 0;

  constructor(nodes: number) {
    this.potential = new Float64Array(nodes);
    this.distance = new Float64Array(nodes);
    this.next = new Int32Array(nodes);
    this.seen = new Int32Array(nodes);
    this.queue = new NodeQueue(this.distance);
    this.arcsFrom = Array.from({ length: nodes }, () => []);
  }

  /**
   * @param room what more it can carry
   * @param back how much of what it carries can be taken back, or turned round
   * @returns its number
   */
  arc(from: number, to: number, cost: number, room: number, back = 0): number {
    const arc = this.to.length;
    this.to.push(to, from);
    this.cost.push(cost, -cost);
    this.room.push(room, back);
    this.arcsFrom[from]!.push(arc);
    this.arcsFrom[to]!.push(arc + 1);
    return arc;
  }

  /** What an arc without a flow of its own at the start carries. */
  flow(arc: number): number {
    return this.room[arc ^ 1]!;
  }

  /** Lets an arc that had no room carry anything, and makes the most of it. */
  open(arc: number): void {
    const [from, to] = [this.to[arc ^ 1]!, this.to[arc]!];
    for (;;) {
      const gain = this.potential[to]! - this.potential[from]! - this.cost[arc]!;
      if (gain <= 0) break;
      const way = this.cheapestWay(to, from, gain);
      if (way === null) break;
      const amount = way.reduce((least, one) => Math.min(least, this.room[one]!), Infinity);
      if (amount === Infinity)
        throw new Error('a circle of arcs without limit costs less than nothing');
      for (const one of [arc, ...way]) {
        if (one !== arc) this.room[one]! -= amount;
        this.room[one ^ 1]! += amount;
      }
    }
    this.room[arc] = Infinity;
  }

  /**
   * Dijkstra on the costs that the potentials leave, from the end of the way back to its start, as far as
   * `limit`; then the potentials of what lies nearer to the end are raised, so that nothing on the way, nor
   * the arc to be opened, costs more than nothing. What need not move stays.
   * @returns the arcs of a way that costs less than `limit`, or null
   */
  private cheapestWay(start: number, end: number, limit: number): number[] | null {
    this.search += 1;
    const { queue, distance, potential } = this;
    const reached: number[] = [];
    queue.clear();
    distance[end] = 0;
    this.seen[end] = this.search;
    queue.add(end);
    let length = limit;
    for (let node = queue.take(); node >= 0; node = queue.take()) {
      const sofar = distance[node]!;
      if (sofar >= limit) break;
      if (node === start) {
        length = sofar;
        break;
      }
      reached.push(node);
      for (const away of this.arcsFrom[node]!) {
        const arc = away ^ 1;
        if (this.room[arc] === 0) continue;
        const before = this.to[away]!;
        const further = sofar + this.cost[arc]! + potential[before]! - potential[node]!;
        if (this.seen[before] === this.search && further >= distance[before]!) continue;
        distance[before] = further;
        this.next[before] = arc;
        this.seen[before] = this.search;
        queue.add(before);
      }
    }
    for (const node of reached) potential[node]! += length - distance[node]!;
    if (length === limit) return null;
    const way: number[] = [];
    for (let node = start; node !== end; node = this.to[way.at(-1)!]!) way.push(this.next[node]!);
    return way;
  }
}

/** Nodes by distance, then by number. A node added again at a lower distance moves up. */
class NodeQueue {
  private readonly heap: number[] = [];
  /** Where a node stands in the heap, counted from 1; 0 when it does not. */
  private readonly place: Int32Array;

  constructor(private readonly distance: Float64Array) {
    this.place = new Int32Array(distance.length);
  }

  clear(): void {
    for (const node of this.heap) this.place[node] = 0;
    this.heap.length = 0;
  }

  add(node: number): void {
    const at = this.place[node] === 0 ? this.heap.push(node) : this.place[node]!;
    this.rise(node, at - 1);
  }

  /** −1 when there is none. */
  take(): number {
    const first = this.heap[0];
    const last = this.heap.pop();
    if (first === undefined || last === undefined) return -1;
    this.place[first] = 0;
    if (first !== last) this.sink(last);
    return first;
  }

  private isBefore(one: number, other: number): boolean {
    const [a, b] = [this.distance[one]!, this.distance[other]!];
    return a < b || (a === b && one < other);
  }

  private put(node: number, at: number): void {
    this.heap[at] = node;
    this.place[node] = at + 1;
  }

  private rise(node: number, from: number): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.isBefore(node, this.heap[above]!)) break;
      this.put(this.heap[above]!, at);
      at = above;
    }
    this.put(node, at);
  }

  private sink(node: number): void {
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= this.heap.length) break;
      const beside = below + 1;
      if (beside < this.heap.length && this.isBefore(this.heap[beside]!, this.heap[below]!)) {
        below = beside;
      }
      if (!this.isBefore(this.heap[below]!, node)) break;
      this.put(this.heap[below]!, at);
      at = below;
    }
    this.put(node, at);
  }
}
