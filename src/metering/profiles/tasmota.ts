import { isLosslessNumber } from 'lossless-json';
import { ARRIVAL, Desk, measuredAt, parsePayload, session, withRejections } from './desk.js';
import type { Found, MeasuredAt } from './desk.js';
import { openFields } from './fields.js';
import type { Unit } from './mapping.js';
import { serialLine, Telegrams } from './p1.js';
import type { Rejection } from '../reading.js';
import { nothing, refused, Refusal } from './session.js';
import type { Profile } from './session.js';
import { energyOf, isRejection, memberAt, powerOf, valueAt } from './value.js';

/**
 * Tasmota: reading heads (SML, OBIS), plugs, and serial bridges on a P1 port, at `.../SENSOR`, in
 * answers `.../STATUS8` and `STATUS10`, and `.../RESULT`. `Time` is local and has no zone. The names
 * of a reading head's fields are free text: those in common use are known, others need a mapping.
 */
export const tasmota: Profile = {
  name: 'tasmota',
  filters: (topic) => ['SENSOR', 'STATUS8', 'STATUS10', 'RESULT'].map((one) => `${topic}/${one}`),
  open(context) {
    const telegrams = new Telegrams(context);
    const desk = new Desk(context);
    const mapped = context.mapping.sources
      ? openFields(context, {
          fields: [],
          root: innerObject,
          timeOf: (_, json) => timeOf(json()),
        })
      : undefined;
    return session((message) => {
      const last = message.topic.split('/').at(-1)!;
      if (!/^(SENSOR|STATUS8|STATUS10|RESULT)$/.test(last)) return nothing();
      if (message.payload.length === 0) {
        return refused('device_gone', 'an empty payload: the device is gone');
      }
      const json = innerObject(parsePayload(message.payload));
      const line = serialLine(json);
      if (line !== undefined) return telegrams.take(`${line.replace(/[\r\n]+$/, '')}\n`, message);
      if (last === 'RESULT') return nothing();
      if (mapped) return mapped.take(message);
      const { found, rejections } = meterIn(json);
      if (!hasValue(found)) {
        if (rejections.length > 0) return { readings: [], rejections };
        return refused('not_understood', unknownFields(json));
      }
      return withRejections(desk.readings(found, timeOf(json), message), rejections);
    });
  },
};

const IMPORT = ['total_in', 'verbrauch_summe', 'e_in'];
const EXPORT = ['total_out', 'einspeisung_summe', 'e_out'];
const POWER = ['power_curr', 'power_cur', 'watt_summe', 'power'];
const SERIAL = ['meter_number', 'meter_id', 'server_id', 'zaehler_nummer'];

/** `Status 8` and `Status 10` wrap what SENSOR sends bare. */
function innerObject(json: unknown): unknown {
  return memberAt(json, ['StatusSNS']) ?? json;
}

function timeOf(json: unknown): MeasuredAt {
  const time = valueAt(json, ['Time']);
  return time.kind === 'missing' ? ARRIVAL : measuredAt(time, 'local', 'Time');
}

interface Reading {
  found: Found;
  rejections: Rejection[];
}

/** The one meter in a message that may hold other sensors too. */
function meterIn(json: unknown): Reading {
  const plug = memberAt(json, ['ENERGY']);
  const heads = objectsIn(json).filter(([name, one]) => name !== 'ENERGY' && isHead(one));
  if (heads.length > 1 || (heads.length === 1 && plug !== undefined)) {
    const names = [...heads.map(([name]) => name), ...(plug === undefined ? [] : ['ENERGY'])];
    throw new Refusal('not_understood', `several meters, ${names.join(' and ')}: map one`);
  }
  const head = heads[0]?.[1];
  if (head === undefined) return plug === undefined ? { found: {}, rejections: [] } : plugIn(plug);
  const reading = new Amounts();
  const found: Found = {
    importMicroWh: reading.energy(head, keyOf(head, IMPORT)),
    exportMicroWh: reading.energy(head, keyOf(head, EXPORT)),
    powerW: reading.power(head, keyOf(head, POWER)),
  };
  const serial = memberAt(head, [keyOf(head, SERIAL) ?? '']);
  if (typeof serial === 'string' && serial !== '') found.meter = serial.slice(0, 128);
  return { found, rejections: reading.rejections };
}

/** Plugs with several channels send lists; `TotalStartTime` moves when somebody resets the counter. */
function plugIn(plug: unknown): Reading {
  const reading = new Amounts();
  const since = memberAt(plug, ['TotalStartTime']);
  const found: Found = {
    importMicroWh: reading.energy(plug, 'Total'),
    exportMicroWh: reading.energy(plug, 'ExportActive'),
    powerW: reading.power(plug, 'Power'),
    ...(typeof since === 'string' ? { note: `counts since ${since.slice(0, 30)}` } : {}),
  };
  return { found, rejections: reading.rejections };
}

/** Reads numbers, and lists of them as their sum; keeps what is wrong with others. */
class Amounts {
  readonly rejections: Rejection[] = [];

  energy(from: unknown, key: string | undefined): bigint | null {
    return this.sum(from, key, 'kWh', energyOf, (a, b) => a + b);
  }

  power(from: unknown, key: string | undefined): number | null {
    return this.sum(from, key, 'W', powerOf, (a, b) => a + b);
  }

  private sum<T extends bigint | number>(
    from: unknown,
    key: string | undefined,
    unit: Unit,
    read: (
      value: ReturnType<typeof valueAt>,
      name: string,
      scale: { unit: Unit },
    ) => T | null | Rejection,
    add: (a: T, b: T) => T,
  ): T | null {
    if (key === undefined) return null;
    const member = memberAt(from, [key]);
    const paths = Array.isArray(member) ? member.map((_, index) => [key, `${index}`]) : [[key]];
    let total: T | null = null;
    for (const path of paths) {
      const outcome = read(valueAt(from, path), path.join('.'), { unit });
      if (isRejection(outcome)) {
        this.rejections.push(outcome);
        return null;
      }
      if (outcome !== null) total = total === null ? outcome : add(total, outcome);
    }
    return total;
  }
}

function isHead(one: object): boolean {
  return keyOf(one, IMPORT) !== undefined || keyOf(one, EXPORT) !== undefined;
}

/** The spelling in which one of the names stands here; scripts write them in any case. */
function keyOf(one: unknown, names: readonly string[]): string | undefined {
  if (typeof one !== 'object' || one === null) return undefined;
  return Object.keys(one).find((key) => names.includes(key.toLowerCase()));
}

function objectsIn(json: unknown): [string, object][] {
  if (typeof json !== 'object' || json === null) return [];
  return Object.entries(json).filter(
    (entry): entry is [string, object] =>
      typeof entry[1] === 'object' && entry[1] !== null && !isLosslessNumber(entry[1]),
  );
}

function hasValue({ importMicroWh, exportMicroWh, powerW }: Found): boolean {
  return [importMicroWh, exportMicroWh, powerW].some((one) => one !== null && one !== undefined);
}

/** What an installer can map. */
function unknownFields(json: unknown): string {
  const names = objectsIn(json).flatMap(([name, one]) =>
    Object.entries(one)
      .filter(([, value]) => isLosslessNumber(value))
      .map(([key]) => `${name}.${key}`),
  );
  return names.length === 0
    ? 'no field that counts energy'
    : `no field of a known name; map one of ${names.slice(0, 12).join(', ')}`.slice(0, 400);
}
