/**
 * The order in which an auction goes through its orders, whatever the order of the rows: by price, the
 * best first, and by id where prices are the same. Sorting is most of what a large auction costs, and plain numbers are sorted many times as
 * fast as text or objects: so the ids' first characters and the prices are sorted as numbers.
 */

/** Whatever has an id that nothing beside it has. */
export interface Named {
  readonly id: string;
}

/** What an order offers or wants, and at which limit. */
export interface Priced {
  /** Micro-units per kWh in the service; any integer will do. */
  readonly price: number;
  readonly quantity: number;
}

/**
 * The best price first, then by id; orders for nothing are left out.
 * @throws RangeError when an id is used twice at one price: their order would be that of the rows
 */
export function inMeritOrder<Order extends Named & Priced>(
  orders: readonly Order[],
  side: 'bid' | 'ask',
): Order[] {
  // Read once, in the order in which they lie in memory.
  const keys = new Float64Array(orders.length);
  const places = new Uint32Array(orders.length);
  let count = 0;
  orders.forEach(({ price, quantity }, place) => {
    if (quantity === 0) return;
    keys[count] = side === 'bid' ? -price : price;
    places[count++] = place;
  });
  const rows = rowsByKey(keys.subarray(0, count));
  const sorted = Array.from(rows, (row) => orders[places[row]!]!);
  // Rows that come by id stay so where prices are the same.
  if (isInOrderOfId(orders)) return sorted;
  sortTies(sorted, (a, b) => sorted[a]!.price === sorted[b]!.price, inOrderOfId);
  return sorted;
}

/**
 * By id, in UTF-16 code units. Rows mostly come so: then there is nothing to sort.
 * @throws RangeError when an id is used twice
 */
export function inOrderOfId<Order extends Named>(orders: readonly Order[]): readonly Order[] {
  if (isInOrderOfId(orders)) return orders;
  const prefixes = prefixKeys(orders.map(({ id }) => id));
  const rows = rowsByKey(prefixes);
  const sorted = Array.from(rows, (row) => orders[row]!);
  // Where the prefixes are the same, the rest of the ids decides.
  sortTies(
    sorted,
    (a, b) => prefixes[rows[a]!] === prefixes[rows[b]!],
    (tied) => tied.sort(compareIds),
  );
  return sorted;
}

function isInOrderOfId(orders: readonly Named[]): boolean {
  return orders.every(({ id }, place) => place === 0 || orders[place - 1]!.id < id);
}

/** Sorts by id what stands side by side and is the same otherwise: mostly two or three. */
function sortTies<Order extends Named>(
  sorted: Order[],
  isSame: (a: number, b: number) => boolean,
  sortMany: (tied: Order[]) => readonly Order[],
): void {
  for (let from = 0, to = 1; from < sorted.length; from = to, to += 1) {
    while (to < sorted.length && isSame(from, to)) to += 1;
    if (to - from > FEW) {
      const tied = sortMany(sorted.slice(from, to));
      for (let at = from; at < to; at += 1) sorted[at] = tied[at - from]!;
      continue;
    }
    for (let next = from + 1; next < to; next += 1) {
      const order = sorted[next]!;
      let at = next;
      for (; at > from && compareIds(order, sorted[at - 1]!) < 0; at -= 1)
        sorted[at] = sorted[at - 1]!;
      sorted[at] = order;
    }
  }
}

const FEW = 16;

/** @throws RangeError when the ids are the same: sorting compares all that end up side by side */
function compareIds({ id: a }: Named, { id: b }: Named): number {
  if (a === b) throw new RangeError(`order id ${a} is used twice`);
  return a < b ? -1 : 1;
}

/**
 * The first characters in which ids differ, as a number that sorts like them: enough to tell most ids
 * apart. They may lie anywhere in memory, so each is visited as few times as possible.
 */
function prefixKeys(ids: readonly string[]): Float64Array {
  const from = sharedLength(ids);
  const lowest = new Int32Array(PREFIX).fill(letterAt('\uffff', 0));
  const highest = new Int32Array(PREFIX);
  for (const id of ids) {
    for (let at = 0; at < PREFIX; at += 1) {
      const letter = letterAt(id, from + at);
      if (letter < lowest[at]!) lowest[at] = letter;
      if (letter > highest[at]!) highest[at] = letter;
    }
  }
  // As many as leave room for the row beside them.
  const letters = highest.map((last, at) => last - lowest[at]! + 1);
  let room = Math.floor(Number.MAX_SAFE_INTEGER / ids.length);
  let length = 0;
  while (length < PREFIX && letters[length]! <= room) room = Math.floor(room / letters[length++]!);
  const keys = new Float64Array(ids.length);
  for (let row = 0; row < keys.length; row += 1) {
    const id = ids[row]!;
    let key = 0;
    for (let at = 0; at < length; at += 1) {
      key = key * letters[at]! + letterAt(id, from + at) - lowest[at]!;
    }
    keys[row] = key;
  }
  return keys;
}

const PREFIX = 8;

/** How many first characters are the same in all ids. */
function sharedLength(ids: readonly string[]): number {
  const first = ids[0] ?? '';
  let length = first.length;
  for (const id of ids) {
    let at = 0;
    while (at < length && id.charCodeAt(at) === first.charCodeAt(at)) at += 1;
    length = at;
  }
  return length;
}

/** 0 behind the end: what is shorter comes first. */
function letterAt(id: string, at: number): number {
  return at < id.length ? id.charCodeAt(at) + 1 : 0;
}

/** Rows by ascending key, then as they come. Key and row are sorted as one number where that is exact. */
export function rowsByKey(keys: Float64Array): Uint32Array {
  const count = keys.length;
  const least = keys.reduce((low, key) => Math.min(low, key), Infinity);
  const most = keys.reduce((high, key) => Math.max(high, key), -Infinity);
  const rows = new Uint32Array(count);
  if (Number.isSafeInteger((most - least + 1) * count)) {
    const packed = keys.map((key, row) => (key - least) * count + row).sort();
    packed.forEach((key, place) => (rows[place] = key % count));
    return rows;
  }
  return rows.map((_, row) => row).sort((a, b) => keys[a]! - keys[b]!);
}
