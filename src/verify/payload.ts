import { createHash } from 'node:crypto';
import { openOcmf } from '../metering/profiles/ocmf.js';
import { registersFor, type Register } from '../metering/reading.js';
import { decodeMessage, signatureFault, type SignedMessage } from '../metering/signed-reading.js';
import type { MeterKey } from '../parties/meter-key.js';
import type { MeterRole } from '../parties/microgrid.js';
import { formatRegisterWh, parseRegisterWh } from '../units/energy.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { deviceSays, type PastDevice } from './device-payload.js';
import type { Findings } from './finding.js';
import type { Signing } from './past-keys.js';

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

/** What is known of meters from the journal. */
export interface MetersTold {
  /** Null for a meter that was never enrolled, undefined where nobody knows. */
  roleOf(meter: string): MeterRole | null | undefined;
  /** Devices that ever spoke for it in a format of their own; undefined where nobody knows. */
  devicesOf(meter: string): readonly PastDevice[] | undefined;
  /** What it has to sign with; null where it need not, undefined where nobody knows. */
  signingOf(meter: string): Signing | null | undefined;
}

/** @returns what still has to be looked for; empty for a payload that is not what its hash says */
export async function assertPayload(
  { payloadHash, bytes }: Payload,
  rows: readonly PayloadRow[],
  told: MetersTold,
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
  for (const row of rows) {
    assertRegister(row, told, findings);
    // What says something in the native format is native.
    const devices = said.length > 0 ? [] : told.devicesOf(row.meter);
    if (values.has(valueOf(row))) assertPower(row, powers, findings);
    else assertDevice(row, bytes, devices, findings);
  }
  const meters = new Set<string | null>(rows.map(({ meter }) => meter));
  if (meters.size === 0) meters.add(null);
  for (const meter of new Set(rows.map((row) => row.meter))) {
    const own = rows.filter((row) => row.meter === meter);
    const said = { payloadHash, bytes, signed: signature };
    await assertSignature(said, own, told.signingOf(meter), findings);
  }
  const kept = new Set(
    rows.map((row) => `${row.meter} ${row.readAt} ${row.register} ${inMicroWh(row)}`),
  );
  return [...meters].flatMap((meter) =>
    said
      .filter(({ register }) => meter === null || isOf(register, told.roleOf(meter)))
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

function assertRegister(row: PayloadRow, told: MetersTold, findings: Findings): void {
  const { table, meter, register } = row;
  const role = told.roleOf(meter);
  if (role === undefined || (role !== null && isOf(register, role))) return;
  findings.add(table, nameOf(row), 'meter_id, register', 'a register that was enrolled', meter);
}

function assertPower(row: PayloadRow, powers: ReadonlySet<string>, findings: Findings): void {
  const { table, readAt, powerW } = row;
  if (table !== 'reading' || powers.has(`${readAt} ${powerW}`)) return;
  findings.add(table, nameOf(row), 'power_w', 'what its payload says', powerW);
}

/** A value that the native format does not find in the payload. */
function assertDevice(
  row: PayloadRow,
  bytes: Uint8Array,
  devices: readonly PastDevice[] | undefined,
  findings: Findings,
): void {
  const { table, register, readAt, valueWh } = row;
  const says =
    devices === undefined
      ? 'nothing'
      : deviceSays(devices, bytes, { register, readAt, microWh: inMicroWh(row) });
  const isVouched = says === 'the same' || (says === 'nothing' && devices?.length !== 0);
  if (isVouched) return;
  findings.add(table, nameOf(row), 'register, read_at, value_wh', 'what its payload says', valueWh);
}

function valueOf(row: PayloadRow): string {
  return `${row.readAt} ${row.register} ${inMicroWh(row)}`;
}

/** @param rows of one meter, whose keys are those of `signing` */
async function assertSignature(
  { payloadHash, bytes, signed }: Payload & { signed: SignedMessage | null },
  rows: readonly PayloadRow[],
  signing: Signing | null | undefined,
  findings: Findings,
): Promise<void> {
  if (signing === undefined || (!signing && !signed)) return;
  if (signing?.keys.some((key) => isOcmfOf(bytes, key))) return;
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

/** Whether the bytes are an OCMF document that this key signed. */
function isOcmfOf(bytes: Uint8Array, { publicKey }: MeterKey): boolean {
  if (publicKey?.asymmetricKeyType !== 'ec') return false;
  try {
    return openOcmf(Buffer.from(bytes), publicKey) !== null;
  } catch {
    return false;
  }
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
