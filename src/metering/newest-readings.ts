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

  /** Once they are committed. @param readings by register and time */
  add(readings: readonly NewReading[]): void {
    for (const [place, { meterId, register, readAtMillis }] of readings.entries()) {
      const next = readings[place + 1];
      if (next && isSameRegister(next, readings[place]!)) continue;
      const newest = this.millis[register];
      if (readAtMillis <= (newest.get(meterId) ?? -Infinity)) continue;
      if (newest.size >= MAX_REMEMBERED) newest.clear();
      newest.set(meterId, readAtMillis);
    }
  }
}

/** An id is one meter's in all of a deployment. */
export function isSameRegister(a: NewReading, b: NewReading): boolean {
  return a.register === b.register && a.meterId === b.meterId;
}

const MAX_REMEMBERED = 250_000;
