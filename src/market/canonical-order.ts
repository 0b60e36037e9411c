/**
 * The order in which an auction goes through its orders, whatever the order of the rows: by id, and by
 * price. Sorting is most of what a large auction costs, and plain numbers are sorted many times as
 * fast as text or objects: so the ids' first characters and the prices are sorted as numbers.
 */

/** Whatever has an id that nothing beside it has. */
export interface Named {
  readonly id: string;
}

/**
 * By id, in UTF-16 code units. Rows mostly come so: then there is nothing to sort.
 * @throws RangeError when an id is used twice
 */
export function inOrderOfId<Order extends Named>(orders: readonly Order[]): readonly Order[] {
  const inOrder = orders.every(({ id }, index) => index === 0 || orders[index - 1]!.id < id);
  if (inOrder) return orders;
  const prefixes = prefixKeys(orders.map(({ id }) => id));
  const rows = rowsByKey(prefixes);
  const sorted = Array.from(rows, (row) => orders[row]!);
  // Where the prefixes are the same, the rest of the ids decides.
  for (let from = 0, to = 1; from < rows.length; from = to, to += 1) {
    while (to < rows.length && prefixes[rows[to]!] === prefixes[rows[from]!]) to += 1;
    if (to === from + 1) continue;
    const same = sorted.slice(from, to).sort(compareIds);
    for (let at = from; at < to; at += 1) sorted[at] = same[at - from]!;
  }
  return sorted;
}

/** @throws RangeError when the ids are the same: sorting compares all that end up side by side */
export function compareIds({ id: a }: Named, { id: b }: Named): number {
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
