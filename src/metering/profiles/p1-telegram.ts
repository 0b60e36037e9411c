import type { Register } from '../reading.js';
import type { Found, MeasuredAt } from './desk.js';
import { flaggedInstant, localMillis } from './local-time.js';
import type { Unit } from './mapping.js';
import { Refusal } from './session.js';
import { bareValue, energyOf, isRejection, powerOf } from './value.js';

/**
 * A telegram of a smart meter's P1 port (DSMR, and its Belgian, Luxembourg, Swedish and Hungarian
 * kin): check value, registers over all tariffs, and the meter's time with its flag for summer.
 */

/** @param lines from the header to the one before `!`, without line ends */
export function readTelegram(
  lines: readonly string[],
  crc: string,
  { timeZone, needsCrc }: { timeZone: string; needsCrc: boolean },
): { found: Found; at: MeasuredAt } {
  if (crc !== '' || needsCrc) checkCrc(lines, crc);
  const values = new Map<string, string>();
  for (const line of lines) {
    const match = OBIS_LINE.exec(line);
    if (!match) continue;
    const [, code = '', value = ''] = match;
    if (values.has(code) && values.get(code) !== value) {
      throw new Refusal('corrupt', `${code} stands twice with different values`);
    }
    values.set(code, value);
  }
  const meter = serialOf(values.get('0-0:96.1.1') ?? values.get('0-0:42.0.0'));
  const found: Found = {
    importMicroWh: registerOf(values, 'import'),
    exportMicroWh: registerOf(values, 'export'),
    powerW: powerOfTelegram(values),
    ...(meter === undefined ? {} : { meter }),
  };
  if (found.importMicroWh === null && found.exportMicroWh === null && found.powerW === null) {
    throw new Refusal('not_understood', 'a telegram without registers of electricity');
  }
  return { found, at: timeOf(values.get('0-0:1.0.0'), timeZone) };
}

/** CRC-16 with the polynomial A001, from `/` to `!` with both: DSMR 5.0.2, section 5.2. */
export function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  }
  return crc;
}

const OBIS_LINE = /^(\d+-\d+:\d+\.\d+\.\d+)(?:\*\d+)?\(([^()]*)\)/;
const REGISTER = /^1-\d+:([12])\.8\.(\d+)$/;
const OBIS_REGISTERS: Readonly<Record<string, Register>> = { 1: 'import', 2: 'export' };

function checkCrc(lines: readonly string[], crc: string): void {
  if (crc === '') throw new Refusal('corrupt', 'a telegram without a check value');
  const wanted = Number.parseInt(crc, 16);
  // Gateways that send line by line may swallow the empty one behind the header.
  const withBlank = lines[1] === '' ? [] : [[lines[0]!, '', ...lines.slice(1)]];
  const fits = [lines, ...withBlank].some(
    (some) => crc16(Buffer.from([...some, '!'].join('\r\n'), 'latin1')) === wanted,
  );
  if (!fits) throw new Refusal('corrupt', `the check value ${crc} is not that of the telegram`);
}

/** The total where the meter has one (1.8.0), else the sum of its tariffs. */
function registerOf(values: ReadonlyMap<string, string>, register: Register): bigint | null {
  let total: bigint | null = null;
  let sum: bigint | null = null;
  for (const [code, text] of values) {
    const match = REGISTER.exec(code);
    if (!match || OBIS_REGISTERS[match[1]!] !== register) continue;
    const microWh = energyIn(code, text);
    if (match[2] === '0') total = microWh;
    else sum = (sum ?? 0n) + microWh;
  }
  return total ?? sum;
}

function energyIn(code: string, text: string): bigint {
  const [number, unit] = text.split('*');
  if (unit !== 'kWh' && unit !== 'Wh') {
    throw new Refusal('unit_unknown', `${code} has no unit that is known`);
  }
  const outcome = energyOf(bareValue(number!), code, { unit });
  if (isRejection(outcome)) throw new Refusal(outcome.reason, outcome.detail);
  return outcome!;
}

function powerOfTelegram(values: ReadonlyMap<string, string>): number | null {
  const powers = [power(values, '1-0:1.7.0', '+'), power(values, '1-0:2.7.0', '-')];
  const known = powers.filter((one) => one !== null);
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0);
}

function power(values: ReadonlyMap<string, string>, code: string, sign: '+' | '-'): number | null {
  const [number, unit] = values.get(code)?.split('*') ?? [];
  if (number === undefined || (unit !== 'kW' && unit !== 'W')) return null;
  const outcome = powerOf(bareValue(number), code, { unit: unit satisfies Unit, sign });
  return isRejection(outcome) ? null : outcome;
}

/** Serial numbers are ASCII in hex. */
function serialOf(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  const isHex = /^([0-9A-Fa-f]{2})+$/.test(text);
  const ascii = isHex ? Buffer.from(text, 'hex').toString('latin1') : text;
  return /^[\x20-\x7e]+$/.test(ascii) ? ascii : text;
}

/** `YYMMDDhhmmss` with W or S; without the flag a local time like any other. */
function timeOf(text: string | undefined, timeZone: string): MeasuredAt {
  if (text === undefined) return { kind: 'arrival' };
  const match = /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})([WS]?)$/.exec(text);
  if (!match) throw new Refusal('bad_time', `the meter's clock shows ${text.slice(0, 20)}`);
  const [year, month, day, hour, minute, second] = match.slice(1, 7) as string[];
  const local = `20${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const flag = match[7];
  if (flag !== 'W' && flag !== 'S') return { kind: 'local', text: local };
  try {
    const millis = localMillis([
      2_000 + Number(year),
      Number(month),
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    ]);
    const note = `${local} ${flag === 'S' ? 'summer' : 'winter'} time`;
    return { kind: 'instant', millis: flaggedInstant(millis, flag, timeZone), note };
  } catch {
    throw new Refusal('bad_time', `the meter's clock shows ${local}: it is not set`);
  }
}
