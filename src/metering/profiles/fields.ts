import { parseText } from '../exact-json.js';
import type { Register, Rejection } from '../reading.js';
import type { Scale } from './decimal.js';
import {
  ARRIVAL,
  Desk,
  measuredAt,
  merged,
  parsePayload,
  session,
  withRejections,
} from './desk.js';
import type { Found, MeasuredAt } from './desk.js';
import type { Mapping, Source, Unit } from './mapping.js';
import { Parts } from './parts.js';
import type { Gathering } from './parts.js';
import { nothing, refused, Refusal } from './session.js';
import type { ProfileContext, ProfileMessage, ProfileSession } from './session.js';
import { bareValue, energyOf, isRejection, pathOf, powerOf, valueAt } from './value.js';
import type { Value } from './value.js';

/**
 * Devices that a table describes: which end of a topic, which member of its JSON, is which register.
 * Most profiles are such a table, and a meter's mapping is one too.
 */

export interface Field extends Omit<Source, 'path' | 'topic'> {
  /** The end of the topic, `+` for any one level. */
  topic: string;
  path?: readonly string[];
  /** How many of the topic's first levels name a device of its own. */
  deviceLevels?: number;
  /** Of a power that counts an export register up by being positive. */
  generates?: boolean;
}

export interface FieldTable {
  fields: readonly Field[];
  gathering?: Gathering;
  /** The device whose values count where the mapping names none; others are partial. */
  counts?: (device: string) => boolean;
  /** When a message was measured; by default the mapping's time, else its arrival. */
  timeOf?: (message: ProfileMessage, json: () => unknown) => MeasuredAt;
  /** The part of a JSON payload that paths lead into. */
  root?: (json: unknown) => unknown;
  /** The unit of a field that has none of its own. */
  unitOf?: (topic: string) => Unit | undefined;
  /** Where in a topic's payload the value stands, when a field does not say. */
  pathOf?: (topic: string) => readonly string[] | undefined;
  /** Whether a payload without any of the fields is wrong; otherwise it says nothing. */
  isStrict?: boolean;
}

/** Reads by the mapping's sources where there are some, else by the profile's own table. */
export function openFields(context: ProfileContext, table: FieldTable): ProfileSession {
  const { sources } = context.mapping;
  if (sources === undefined) return openTable(context, table);
  return openTable(context, {
    ...table,
    fields: sources.map(fieldOf),
    gathering: 'latest',
    counts: () => true,
    isStrict: true,
  });
}

/** Whether the end of a topic fits a pattern. */
export function endsLike(topic: string, pattern: string): boolean {
  return endOf(topic, pattern) !== null;
}

function fieldOf({ topic, path, ...rest }: Source): Field {
  return { ...rest, topic: topic ?? ANY, ...(path === undefined ? {} : { path: pathOf(path) }) };
}

function openTable(context: ProfileContext, table: FieldTable): ProfileSession {
  const desk = new Desk(context);
  const sums = new Sums(table);
  const bound = new Map<string, string>();
  return session((message) => {
    const fitting = table.fields.flatMap((field) => {
      const end = endOf(message.topic, field.topic);
      if (end === null) return [];
      // Two topics that fit one pattern are two meters: the first one stands.
      if (isOpen(field)) {
        const other = bound.get(field.topic);
        if (other === undefined) bound.set(field.topic, end.join('/'));
        else if (other !== end.join('/')) {
          throw new Refusal('wrong_meter', `${field.topic} fits ${end.join('/')} and ${other}`);
        }
      }
      return [{ field, device: deviceOf(end, field) }];
    });
    // Other devices below the same topic are other meters.
    const { meter } = context.mapping;
    const matching = fitting.filter(({ device }) => !meter || !device || device === meter);
    if (matching.length === 0) return nothing();
    // Nor may it be a part of a sum.
    if (message.retained) {
      return refused('retained', 'replayed by the broker, which is never a new reading');
    }
    const payload = new Payload(message, table.root);
    if (payload.isEmpty()) return refused('device_gone', 'an empty payload: the device is gone');
    const timeOf = (): MeasuredAt =>
      context.mapping.time === undefined && table.timeOf
        ? table.timeOf(message, () => payload.json())
        : mappedTime(context.mapping, payload);
    const devices = [...new Set(matching.map(({ device }) => device))];
    return merged(
      devices.map((device) => {
        const fields = matching.filter((one) => one.device === device).map(({ field }) => field);
        const { found, rejections } = sums.of(device, fields, payload);
        const counts = meter === device || (table.counts?.(device) ?? true);
        const isEmpty = Object.keys(found).length === 0;
        const output = isEmpty
          ? nothing()
          : desk.readings(
              {
                ...found,
                ...(device === '' ? {} : { meter: device }),
                ...(counts ? {} : { quality: 'partial', note: `counts with "meter": "${device}"` }),
              },
              timeOf(),
              message,
            );
        return counts ? withRejections(output, rejections) : output;
      }),
    );
  });
}

/** Adds up what belongs together: within a message, or over several topics. */
class Sums {
  private readonly waiting = new Map<string, Parts>();

  constructor(private readonly table: FieldTable) {}

  of(
    device: string,
    fields: readonly Field[],
    payload: Payload,
  ): { found: Found; rejections: Rejection[] } {
    const found: Found = {};
    const rejections: Rejection[] = [];
    for (const register of ['import', 'export'] as const) {
      const own = fields.filter((field) => field.register === register);
      const outcome = this.energy(device, register, own, payload, rejections);
      if (outcome !== null) found[REGISTER_KEYS[register]] = outcome;
    }
    const power = this.power(
      fields.filter(({ register }) => register === 'power'),
      payload,
      rejections,
    );
    if (power !== null) found.powerW = power;
    const generator = fields.find(({ generates }) => generates);
    if (power !== null && generator) found.powerRegister = 'export';
    if (this.table.isStrict && fields.every((field) => payload.isSilent(field, this.table))) {
      const names = fields.map(nameOf).join(', ');
      rejections.push({ reason: 'not_understood', detail: `none of ${names} in the payload` });
    }
    return { found, rejections };
  }

  private energy(
    device: string,
    register: Register,
    fields: readonly Field[],
    payload: Payload,
    rejections: Rejection[],
  ): bigint | null {
    const values = fields.map((field) => {
      const outcome = energyOf(...payload.read(field, this.table));
      if (isRejection(outcome)) rejections.push(outcome);
      return typeof outcome === 'bigint' ? outcome : null;
    });
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return null;
    const all = this.partsOf(register).filter(
      (field) => devicePattern(field) === devicePattern(fields[0]!),
    );
    if (all.length === fields.length) {
      if (known.length === fields.length) return known.reduce((sum, value) => sum + value, 0n);
      const missing = fields.filter((_, index) => values[index] === null).map(nameOf);
      const detail = `${missing.join(', ')} is missing, without which ${register} is not whole`;
      if (rejections.length === 0) rejections.push({ reason: 'incomplete', detail });
      return null;
    }
    return this.gather(`${device} ${register}`, all, fields, values, payload.receivedAtMillis);
  }

  private gather(
    key: string,
    all: readonly Field[],
    fields: readonly Field[],
    values: readonly (bigint | null)[],
    receivedAtMillis: number,
  ): bigint | null {
    let parts = this.waiting.get(key);
    if (!parts) {
      if (this.waiting.size >= MOST_WAITING) this.waiting.clear();
      parts = new Parts(all.map(nameOf), this.table.gathering ?? 'latest');
      this.waiting.set(key, parts);
    }
    let sum: bigint | null = null;
    fields.forEach((field, index) => {
      const value = values[index];
      if (value != null) sum = parts.add(nameOf(field), value, receivedAtMillis);
    });
    return sum;
  }

  /** Powers of one message are summed; over several topics the last one is shown by itself. */
  private power(
    fields: readonly Field[],
    payload: Payload,
    rejections: Rejection[],
  ): number | null {
    let total: number | null = null;
    for (const field of fields) {
      const outcome = powerOf(...payload.read(field, this.table));
      if (isRejection(outcome)) rejections.push(outcome);
      else if (outcome !== null) total = (total ?? 0) + outcome;
    }
    return total;
  }

  private partsOf(register: Source['register']): Field[] {
    return this.table.fields.filter((field) => field.register === register);
  }
}

/** A member of a JSON payload, a column of a line, or else the whole payload. */
interface Place {
  path: readonly string[] | undefined;
  column: number | undefined;
}

/** A payload, opened as far as a field needs it. */
class Payload {
  private parsed: { json: unknown } | undefined;
  private columns: string[] | undefined;

  constructor(
    private readonly message: ProfileMessage,
    private readonly root: (json: unknown) => unknown = (json) => json,
  ) {}

  get receivedAtMillis(): number {
    return this.message.receivedAtMillis;
  }

  read(field: Field, table: FieldTable): [Value, string, Scale] {
    const { topic } = this.message;
    const { factor, sign, column } = field;
    const value = this.value({ path: field.path ?? table.pathOf?.(topic), column });
    const usual = field.register === 'power' ? 'W' : 'kWh';
    const unit = field.unit ?? (table.unitOf ? table.unitOf(topic) : usual);
    if (unit === undefined && value.kind === 'number') {
      throw new Refusal('unit_unknown', `nothing says in which unit ${nameOf(field)} counts`);
    }
    return [value, nameOf(field), { unit: unit ?? usual, factor, sign }];
  }

  value({ path, column }: Place): Value {
    if (column !== undefined) {
      this.columns ??= parseText(this.message.payload)
        .trim()
        .split(/[,;\t]/);
      const text = this.columns[column];
      return text === undefined ? { kind: 'missing' } : bareValue(text);
    }
    if (path === undefined) return bareValue(parseText(this.message.payload));
    return valueAt(this.json(), path);
  }

  json(): unknown {
    this.parsed ??= { json: this.root(parsePayload(this.message.payload)) };
    return this.parsed.json;
  }

  isEmpty(): boolean {
    const { payload } = this.message;
    return payload.length === 0 || /^\s*$/.test(parseText(payload));
  }

  /** Whether it says nothing of the field, not even that there is no value. */
  isSilent({ path, column }: Field, table: FieldTable): boolean {
    const place = { path: path ?? table.pathOf?.(this.message.topic), column };
    return this.value(place).kind === 'missing';
  }
}

function mappedTime({ time }: Mapping, payload: Payload): MeasuredAt {
  if (!time) return ARRIVAL;
  const { column } = time;
  const path = time.path === undefined ? undefined : pathOf(time.path);
  const name = path?.join('.') ?? (column === undefined ? 'the time' : `column ${column}`);
  return measuredAt(payload.value({ path, column }), time.format, name);
}

/** The levels at the end of a topic that fit a pattern; null where they do not. */
function endOf(topic: string, pattern: string): string[] | null {
  const levels = topic.split('/');
  const wanted = pattern.split('/');
  const end = levels.slice(-wanted.length);
  const fits =
    end.length === wanted.length &&
    wanted.every((level, index) => level === '+' || level === end[index]);
  return fits ? end : null;
}

/** Whether a pattern leaves a level open without naming a device by it. */
function isOpen({ topic, deviceLevels = 0 }: Field): boolean {
  return deviceLevels === 0 && topic !== ANY && topic.split('/').includes('+');
}

function deviceOf(end: readonly string[], { deviceLevels = 0 }: Field): string {
  return end.slice(0, deviceLevels).join('/');
}

function devicePattern({ topic, deviceLevels = 0 }: Field): string {
  return topic.split('/').slice(0, deviceLevels).join('/');
}

function nameOf({ topic, path, column }: Field): string {
  if (column !== undefined) return `column ${column}`;
  return path ? path.join('.') : topic;
}

const REGISTER_KEYS = { import: 'importMicroWh', export: 'exportMicroWh' } as const;
/** Any topic of the source. */
const ANY = '+';
const MOST_WAITING = 256;
