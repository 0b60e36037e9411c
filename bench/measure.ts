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
 * Processor time of two peers in turns, after a fifth of the time to get warm: what else the machine
 * does takes none of it, and falls on both as far as it slows memory down.
 * @param limits the milliseconds that may be spent, and how many calls make a turn; at least two turns
 *   are counted
 * @returns medians of one call in milliseconds, and the median of the ratios of neighboring turns
 */
export function compare(
  ours: () => unknown,
  peer: () => unknown,
  { millis, calls }: { millis: number; calls: number },
): { oursMillis: number; peerMillis: number; ratio: number } {
  const started = performance.now();
  const turns: { oursMillis: number; peerMillis: number }[] = [];
  let warm = 0;
  while (turns.length < warm + 2 || performance.now() - started < millis) {
    if (turns.length === 0 || performance.now() - started < millis / 5) warm = turns.length + 1;
    const peerMillis = processorMillis(peer, calls);
    turns.push({ peerMillis, oursMillis: processorMillis(ours, calls) });
  }
  const counted = turns.slice(warm);
  return {
    oursMillis: median(counted.map(({ oursMillis }) => oursMillis)),
    peerMillis: median(counted.map(({ peerMillis }) => peerMillis)),
    ratio: median(counted.map(({ oursMillis, peerMillis }) => oursMillis / peerMillis)),
  };
}

/** Of one call, garbage collection included. */
function processorMillis(work: () => unknown, calls: number): number {
  const before = process.cpuUsage();
  for (let call = 0; call < calls; call += 1) work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / calls;
}
