import type { NewReading } from './intake-verdict.js';

/**
 * The last reading of each register that this instance has committed: hints, which save questions to
 * the database. What another instance took in, or this one before it started, is not in them.
 */
export class NewestReadings {
  private readonly millis = {
    import: new Map<string, number>(),
    export: new Map<string, number>(),
  };

  /** Epoch milliseconds; undefined when none is remembered. */
  of({ meterId, register }: NewReading): number | undefined {
    return this.millis[register].get(meterId);
  }

  /** Once they are committed. */
  add(readings: readonly NewReading[]): void {
    for (const { meterId, register, readAtMillis } of readings) {
      const newest = this.millis[register];
      if (readAtMillis <= (newest.get(meterId) ?? -Infinity)) continue;
      if (newest.size >= MAX_REMEMBERED) newest.clear();
      newest.set(meterId, readAtMillis);
    }
  }
}

const MAX_REMEMBERED = 250_000;
