import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';

/**
 * What is said about one meter beyond its profile: which topic and field is which register, in which
 * unit and sign. Written by an installer, read as JSON; `docs/connect-a-meter.md` tells every field.
 */

/** Of energy, and of power. */
export const ENERGY_UNITS = ['Wh', 'kWh', 'MWh', 'GWh', 'Wmin', 'Ws', 'J', 'kJ', 'MJ'] as const;
export const POWER_UNITS = ['W', 'kW', 'MW'] as const;

export type Unit = (typeof ENERGY_UNITS)[number] | (typeof POWER_UNITS)[number];

/** One value of a source. Several of one register are summed: tariffs, phases. */
export interface Source {
  /** The end of the topic, `+` for any one level; absent: every topic of the source. */
  topic?: string | undefined;
  /** The way to the value in a JSON payload, `SML.Total_in` or `["SML", "Total_in"]`. */
  path?: string | string[] | undefined;
  /** In a line of comma-separated values, from 0. Without path and column the payload is the value. */
  column?: number | undefined;
  register: 'import' | 'export' | 'power';
  unit?: Unit | undefined;
  /** Decimal text that the value is multiplied by, e.g. `"1e-10"`. */
  factor?: string | undefined;
  /** `-` where the device counts or signs the other way round. */
  sign?: '+' | '-' | undefined;
}

/** Where a payload says when it was measured. */
export interface TimeSource {
  path?: string | string[] | undefined;
  column?: number | undefined;
  /** `local` has no zone: the meter's own is taken. */
  format: 'rfc3339' | 'local' | 'unix' | 'unix-ms';
}

const level = z.string().min(1).max(200);
const path = z.union([level, z.array(level).min(1).max(10)]);
const column = z.int().min(0).max(100);

const source = z
  .strictObject({
    topic: z
      .string()
      .min(1)
      .max(500)
      .refine((text) => text.split('/').every((one) => one === '+' || !/[+#]/.test(one)), {
        error: 'a topic with + for whole levels only, and without #',
      })
      .optional(),
    path: path.optional(),
    column: column.optional(),
    register: z.enum(['import', 'export', 'power']),
    unit: z.enum([...ENERGY_UNITS, ...POWER_UNITS]).optional(),
    factor: z
      .string()
      .regex(/^\d{1,12}(\.\d{1,12})?([eE][+-]?\d{1,2})?$/, 'a decimal as text, such as "0.001"')
      .refine((text) => /[1-9]/.test(text.split(/[eE]/)[0]!), { error: 'zero' })
      .optional(),
    sign: z.enum(['+', '-']).optional(),
  })
  .refine((one) => one.path === undefined || one.column === undefined, {
    error: 'path or column, not both',
  })
  .refine(
    ({ register, unit }) =>
      unit === undefined || (register === 'power') === POWER_UNITS.some((power) => power === unit),
    { error: 'registers have units of energy, power those of power', path: ['unit'] },
  );

export const MAPPING = z.strictObject({
  /** IANA name of the zone of local times. */
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, { error: 'not an IANA time zone, such as Europe/Berlin' })
    .optional(),
  /** What the source must call the meter (serial number, device); anything else is refused. */
  meter: z.string().min(1).max(128).optional(),
  /** Import is export and the reverse: a clamp or a plug mounted the other way, or a generator. */
  invert: z.boolean().optional(),
  /** Clamps, phases or components that make up this meter, summed; e.g. `[0, 1, 2]`. */
  channels: z.array(z.int().min(0).max(15)).min(1).max(16).optional(),
  /** `absent` takes P1 telegrams of meters before DSMR 4, which have no check value. */
  crc: z.enum(['required', 'absent']).optional(),
  /** OCMF: DER as SubjectPublicKeyInfo, in hex or base64. */
  publicKey: z
    .string()
    .max(1_000)
    .refine(isPublicKey, { error: 'not a public key (SubjectPublicKeyInfo) in hex or base64' })
    .optional(),
  sources: z.array(source).min(1).max(32).optional(),
  time: z
    .strictObject({
      path: path.optional(),
      column: column.optional(),
      format: z.enum(['rfc3339', 'local', 'unix', 'unix-ms']),
    })
    .optional(),
});

export type Mapping = z.infer<typeof MAPPING>;

/** @param text DER of a SubjectPublicKeyInfo in hex or base64 @throws Error when it is none */
export function publicKeyOf(text: string): KeyObject {
  const isHex = /^([0-9A-Fa-f]{2})+$/.test(text);
  const key = Buffer.from(text, isHex ? 'hex' : 'base64');
  return createPublicKey({ key, format: 'der', type: 'spki' });
}

function isPublicKey(text: string): boolean {
  try {
    return publicKeyOf(text).type === 'public';
  } catch {
    return false;
  }
}

function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone });
    return true;
  } catch {
    return false;
  }
}
