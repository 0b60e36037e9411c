import { createHash } from 'node:crypto';
import { registersFor, type Register } from '../metering/reading.js';
import { decodeMessage, signatureFault, type SignedMessage } from '../metering/signed-reading.js';
import type { MeterRole } from '../parties/microgrid.js';
import { formatRegisterWh, parseRegisterWh } from '../units/energy.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Findings } from './finding.js';
import type { Signing } from './members.js';

/**
 * A payload as a meter sent it, and the rows that name it: each row says what the payload says, and
 * everything that the payload says stands in a row somewhere. Of a meter with a key it is signed.
 */

export interface Payload {
  payloadHash: Uint8Array;
  bytes: Uint8Array;
}

/** A reading, or a contradiction, of the payload it names. */
export interface PayloadRow {
  payloadHash: Uint8Array;
  table: 'reading' | 'reading_contradiction';
  meter: string;
  register: Register;
  readAt: Instant;
  valueWh: string;
  powerW: string | null;
}

/** What a payload says and none of its rows has. */
export interface Unkept {
  payloadHash: Uint8Array;
  /** Null where nothing tells the meter. */
  meter: string | null;
  register: Register;
  readAt: Instant;
  valueWh: string;
}

/** Null for a meter that was never enrolled, undefined where nobody knows. */
export type RoleOf = (meter: string) => MeterRole | null | undefined;

/** The same of what a meter has to sign with. */
export type SigningOf = (meter: string) => Signing | null | undefined;

/** @returns what still has to be looked for; empty for a payload that is not what its hash says */
export async function assertPayload(
  { payloadHash, bytes }: Payload,
  rows: readonly PayloadRow[],
  roleOf: RoleOf,
  signingOf: SigningOf,
  findings: Findings,
): Promise<Unkept[]> {
  const hash = createHash('sha256').update(bytes).digest();
  if (!findings.same('reading_payload', hex(payloadHash), 'bytes', payloadHash, hash)) return [];
  const { readings, signed: signature } = decodeMessage(Buffer.from(bytes));
  const said = readings.flatMap(({ readAt, importMicroWh, exportMicroWh }) => [
    ...(importMicroWh === null ? [] : [{ readAt, register: 'import' as const, is: importMicroWh }]),
    ...(exportMicroWh === null ? [] : [{ readAt, register: 'export' as const, is: exportMicroWh }]),
  ]);
  const values = new Set(said.map(({ readAt, register, is }) => `${readAt} ${register} ${is}`));
  const powers = new Set(readings.map(({ readAt, powerW }) => `${readAt} ${powerW}`));
  for (const row of rows) assertRow(row, values, powers, roleOf, findings);
  const meters = new Set<string | null>(rows.map(({ meter }) => meter));
  if (meters.size === 0) meters.add(null);
  for (const meter of new Set(rows.map((row) => row.meter))) {
    const own = rows.filter((row) => row.meter === meter);
    await assertSignature(payloadHash, signature, own, signingOf(meter), findings);
  }
  const kept = new Set(
    rows.map((row) => `${row.meter} ${row.readAt} ${row.register} ${inMicroWh(row)}`),
  );
  return [...meters].flatMap((meter) =>
    said
      .filter(({ register }) => meter === null || isOf(register, roleOf(meter)))
      .filter(({ readAt, register, is }) => !kept.has(`${meter} ${readAt} ${register} ${is}`))
      .map(({ readAt, register, is }) => ({
        payloadHash,
        meter,
        register,
        readAt,
        valueWh: formatRegisterWh(is),
      })),
  );
}

/** Rows whose payload is not there. */
export function withoutPayload(rows: readonly PayloadRow[], findings: Findings): void {
  for (const row of rows) {
    findings.add(row.table, nameOf(row), 'payload_hash', 'the hash of a payload', row.payloadHash);
  }
  for (const hash of new Set(rows.map(({ payloadHash }) => hex(payloadHash)))) {
    findings.add('reading_payload', hash, 'payload_hash', 'the payload of readings', 'none');
  }
}

export function nameOf({
  meter,
  register,
  readAt,
}: Omit<Unkept, 'payloadHash' | 'valueWh'>): string {
  return `${meter ?? 'some meter'} ${register} ${readAt}`;
}

function assertRow(
  row: PayloadRow,
  values: ReadonlySet<string>,
  powers: ReadonlySet<string>,
  roleOf: RoleOf,
  findings: Findings,
): void {
  const { table, meter, register, readAt, valueWh, powerW } = row;
  const name = nameOf(row);
  const role = roleOf(meter);
  if (role !== undefined && (role === null || !isOf(register, role))) {
    findings.add(table, name, 'meter_id, register', 'a register that was enrolled', meter);
  }
  if (!values.has(`${readAt} ${register} ${inMicroWh(row)}`)) {
    findings.add(table, name, 'register, read_at, value_wh', 'what its payload says', valueWh);
  } else if (table === 'reading' && !powers.has(`${readAt} ${powerW}`)) {
    findings.add(table, name, 'power_w', 'what its payload says', powerW);
  }
}

/** @param rows of one meter, whose keys are those of `signing` */
async function assertSignature(
  payloadHash: Uint8Array,
  signed: SignedMessage | null,
  rows: readonly PayloadRow[],
  signing: Signing | null | undefined,
  findings: Findings,
): Promise<void> {
  if (signing === undefined || (!signing && !signed)) return;
  if (signing && !signed) {
    const late = rows.filter(({ readAt }) => parseInstant(readAt) > signing.unsignedUntilMillis);
    for (const row of late) {
      findings.add(row.table, nameOf(row), 'payload_hash', 'a signed payload', 'one without');
    }
    return;
  }
  for (const key of signing?.keys ?? []) {
    if ((await signatureFault(signed, key)) === null) return;
  }
  const expected = `a signature of ${rows[0]!.meter}`;
  findings.add('reading_payload', hex(payloadHash), 'bytes', expected, 'none that holds');
}

/** Of an unknown role any register may be. */
function isOf(register: Register, role: MeterRole | null | undefined): boolean {
  return !role || registersFor(role).includes(register);
}

/** A text that is no register value equals none. */
function inMicroWh({ valueWh }: PayloadRow): string {
  try {
    return String(parseRegisterWh(valueWh));
  } catch {
    return valueWh;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
