import { meterKey, type MeterKey, type MeterKeyFacts } from '../parties/meter-key.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Row } from './finding.js';

/** The keys of meters that sign, told again from the records that registered and revoked them. */

/** The keys that a meter ever had, and until when it may have said something without. */
export interface Signing {
  keys: readonly MeterKey[];
  unsignedUntilMillis: number;
}

interface RegisteredKey extends MeterKey {
  der: Buffer | null;
  at: Instant;
  unsignedUntil?: Instant | undefined;
}

export class PastKeys {
  private readonly keys = new Map<string, RegisteredKey[]>();

  /** @throws Error for a key that is none, or not the next one of its meter */
  add({ meter, number, publicKey, unsignedUntil }: MeterKeyFacts, at: Instant): void {
    const known = this.keys.get(meter) ?? [];
    if (number !== known.length + 1) throw new Error(`key ${number} of ${meter} is not the next`);
    try {
      const der = publicKey === null ? null : Buffer.from(publicKey, 'base64');
      this.keys.set(meter, [...known, { ...meterKey(number, der), der, at, unsignedUntil }]);
    } catch {
      throw new Error(`key ${number} of ${meter} is no public key`);
    }
  }

  /** Null for a meter that never had a key. */
  of(meter: string): Signing | null {
    const keys = this.keys.get(meter);
    if (!keys) return null;
    return { keys, unsignedUntilMillis: parseInstant(keys[0]!.unsignedUntil ?? keys[0]!.at) };
  }

  rows(): Row[] {
    return [...this.keys].flatMap(([meter, keys]) =>
      keys.map(({ number, der, at }) => ({
        meter_id: meter,
        number,
        public_key: der,
        registered_at: at,
      })),
    );
  }
}
