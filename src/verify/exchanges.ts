import type { RecordBody } from '../ledger/record.js';
import { exchangeOf, type ExchangeFacts } from '../metering/meter-exchange.js';
import type { Exchange } from '../metering/plausibility.js';
import type { Register } from '../metering/reading.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import type { StoredReading } from './borders.js';
import type { Row } from './finding.js';

/** Exchanges of meters, kept again from the records of operators. */

interface Known extends ExchangeFacts {
  sequence: number;
}

export class Exchanges {
  private readonly known = new Map<string, Known[]>();

  /** Takes in a record that tells of an exchange; others pass by. */
  apply({ kind, facts, sequence }: RecordBody): void {
    if (kind !== 'operator-action' || facts['action'] !== 'meter-exchanged') return;
    const exchange = facts as unknown as ExchangeFacts;
    const known = this.known.get(exchange.meter) ?? [];
    known.push({ ...exchange, sequence });
    known.sort((a, b) => parseInstant(a.exchangedAt) - parseInstant(b.exchangedAt));
    this.known.set(exchange.meter, known);
  }

  /** In time. */
  of(meter: string, register: Register): Exchange[] {
    return this.ofRegister(meter, register).map(({ exchange }) => exchange);
  }

  /** What a reading counted for more at an instant, as far as a record could know. */
  offsetAt(meter: string, register: Register, atMillis: number, sequence: number): bigint {
    return this.ofRegister(meter, register)
      .filter((one) => one.sequence < sequence && one.exchange.atMillis <= atMillis)
      .reduce((sum, { exchange: { oldFinalMicroWh, newFirstMicroWh } }) => {
        return sum + oldFinalMicroWh - newFirstMicroWh;
      }, 0n);
  }

  /** The end values as readings: records name them like any other. */
  readingsOf({ meter, register }: { meter: string; register: Register }): StoredReading[] {
    return this.of(meter, register).flatMap(({ atMillis, oldFinalMicroWh, newFirstMicroWh }) => [
      { meter, register, readAt: formatInstant(atMillis - 1), valueWh: `${oldFinalMicroWh}e-6` },
      { meter, register, readAt: formatInstant(atMillis), valueWh: `${newFirstMicroWh}e-6` },
    ]);
  }

  rows(): Row[] {
    return [...this.known.values()].flat().flatMap(({ meter, exchangedAt, registers, sequence }) =>
      registers.map(({ register, oldFinalWh, newFirstWh }) => ({
        meter_id: meter,
        register,
        exchanged_at: exchangedAt,
        old_final_wh: oldFinalWh,
        new_first_wh: newFirstWh,
        sequence,
      })),
    );
  }

  private ofRegister(meter: string, register: Register) {
    return (this.known.get(meter) ?? []).flatMap((facts) => {
      const exchange = exchangeOf(facts, register);
      return exchange ? [{ exchange, sequence: facts.sequence }] : [];
    });
  }
}
