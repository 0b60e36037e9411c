import { createHash } from 'node:crypto';
import { registerAt, type RegisterReading } from '../metering/border.js';
import { decodeReadings, readingHash, type Register } from '../metering/reading.js';
import type { HouseholdFacts, RegisterFacts } from '../settlement/slot-facts.js';
import { parseRegisterWh } from '../units/energy.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Findings } from './finding.js';

/** Readings held against the records that name them and the payloads they came in. */

export interface StoredReading {
  meter: string;
  register: Register;
  readAt: Instant;
  /** Decimal text. */
  valueWh: string;
}

export interface ReadingWithPayload extends StoredReading {
  powerW?: number | null;
  payloadHash: Uint8Array;
  bytes: Uint8Array | null;
}

/** Readings by the hash that records name them with. */
export type ReadingsByHash = Map<string, RegisterReading>;

export function hashReadings(readings: readonly StoredReading[]): ReadingsByHash {
  return new Map(
    readings.map(({ meter, register, readAt, valueWh }) => {
      const microWh = parseRegisterWh(valueWh);
      return [
        readingHash(meter, readAt, register, microWh),
        { atMillis: parseInstant(readAt), microWh },
      ];
    }),
  );
}

/** Hashes that the record of a household names. */
export function namedReadings({ registers }: HouseholdFacts): string[] {
  return registers.flatMap(({ startReadings, endReadings }) => [...startReadings, ...endReadings]);
}

/** Every border of a record follows from the readings it names, unless it is an estimate. */
export function assertBorders(
  sequence: number,
  facts: HouseholdFacts,
  readings: ReadingsByHash,
  findings: Findings,
): void {
  for (const register of facts.registers) {
    assertBorder(sequence, register, 'start', facts.slot, readings, findings);
    assertBorder(sequence, register, 'end', facts.slotEnd, readings, findings);
  }
}

function assertBorder(
  sequence: number,
  facts: RegisterFacts,
  side: 'start' | 'end',
  at: Instant,
  readings: ReadingsByHash,
  findings: Findings,
): void {
  const [valueWh, quality, hashes] =
    side === 'start'
      ? [facts.startWh, facts.startQuality, facts.startReadings]
      : [facts.endWh, facts.endQuality, facts.endReadings];
  const place = `${facts.meter} ${facts.register} at ${at}`;
  const named: RegisterReading[] = [];
  for (const hash of hashes) {
    const reading = readings.get(hash);
    if (!reading) {
      findings.add(
        'reading',
        place,
        'value_wh',
        `the reading that record ${sequence} names`,
        'none',
      );
      return;
    }
    named.push(reading);
  }
  if (valueWh === null || quality === 'estimated') return;
  const [first = null, second = null] = named;
  const derived = first && registerAt(parseInstant(at), { before: first, after: second });
  findings.same('record_body', sequence, `${place}: quality`, derived?.quality, quality);
  findings.same('record_body', sequence, `${place}: Wh`, derived?.valueWh, valueWh);
}

/** A reading stands in the payload it names. @param decoded cache by payload hash */
export function assertPayload(
  table: string,
  reading: ReadingWithPayload,
  decoded: Map<string, ReadonlySet<string>>,
  findings: Findings,
): void {
  const { meter, register, readAt, valueWh, payloadHash, bytes } = reading;
  const row = `${meter} ${register} ${readAt}`;
  if (bytes === null) {
    findings.add(table, row, 'payload_hash', 'the hash of a payload', payloadHash);
    return;
  }
  const hash = Buffer.from(payloadHash).toString('hex');
  let values = decoded.get(hash);
  if (!values) {
    values = valuesIn(bytes);
    decoded.set(hash, values);
  }
  const value = parseRegisterWh(valueWh);
  if (!values.has(`${readAt} ${register} ${value}`)) {
    findings.add(table, row, 'read_at, register, value_wh', 'what its payload says', valueWh);
  } else if ('powerW' in reading && !values.has(`${readAt} power ${reading.powerW}`)) {
    findings.add(table, row, 'power_w', 'what its payload says', reading.powerW);
  }
}

export function payloadHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function valuesIn(bytes: Uint8Array): ReadonlySet<string> {
  const values = new Set<string>();
  for (const reading of decodeReadings(Buffer.from(bytes)).readings) {
    const { readAt, importMicroWh, exportMicroWh, powerW } = reading;
    values.add(`${readAt} import ${importMicroWh}`);
    values.add(`${readAt} export ${exportMicroWh}`);
    values.add(`${readAt} power ${powerW}`);
  }
  return values;
}
