/** Measuring on a machine that others use too: peers take turns, and medians of their times count. */

/** Sorted quantile, nearest rank. @param share 0 to 1 */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Milliseconds that `work` takes. */
export function timeMillis(work: () => unknown): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

export async function timeAsyncMillis(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/**
 * Times of two peers in turns, so that what else the machine does falls on both, after a fifth of the
 * time to get warm.
 * @param millis what may be spent; at least two turns are counted
 * @returns the medians in milliseconds, and the median of the ratios of neighboring turns
 */
export function compare(
  ours: () => unknown,
  peer: () => unknown,
  millis: number,
): { oursMillis: number; peerMillis: number; ratio: number } {
  const started = performance.now();
  const times: { oursMillis: number; peerMillis: number }[] = [];
  let warm = 0;
  while (times.length < warm + 2 || performance.now() - started < millis) {
    if (times.length === 0 || performance.now() - started < millis / 5) warm = times.length + 1;
    const peerMillis = timeMillis(peer);
    times.push({ peerMillis, oursMillis: timeMillis(ours) });
  }
  const counted = times.slice(warm);
  return {
    oursMillis: median(counted.map(({ oursMillis }) => oursMillis)),
    peerMillis: median(counted.map(({ peerMillis }) => peerMillis)),
    ratio: median(counted.map(({ oursMillis, peerMillis }) => oursMillis / peerMillis)),
  };
}
