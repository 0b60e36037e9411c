/**
 * What may be told of a group without telling of one of its members: at least 15 households, none with
 * more than 15 % of the figure.
 */
export const MIN_HOUSEHOLDS = 15;
export const MAX_SHARE_PERCENT = 15;

/** Whether `part` is more than 15 % of `whole`, whichever way either of them goes. */
export function isDominant(part: number | bigint, whole: number | bigint): boolean {
  return magnitude(part) * 100n > magnitude(whole) * BigInt(MAX_SHARE_PERCENT);
}

function magnitude(value: number | bigint): bigint {
  const exact = BigInt(value);
  return exact < 0n ? -exact : exact;
}
