import tahu from 'sparkplug-payload/lib/sparkplugPayloadProto.js';
import type { org } from 'sparkplug-payload/lib/sparkplugPayloadProto.js';
import type { Value } from './value.js';

/**
 * A Sparkplug B payload, opened. It is read below `decodePayload` of the same package, which loses
 * the value of a metric without a datatype, as DATA messages have by the specification (6.4.16:
 * datatypes SHOULD NOT be included), and turns unsigned 32-bit values beyond 2^31 negative.
 */

export interface Metric {
  /** Undefined where only the alias is sent. */
  name: string | undefined;
  alias: string | undefined;
  timestampMillis: number | undefined;
  isHistorical: boolean;
  raw: ProtoMetric;
  /** From the property `engUnit`, as births carry it. */
  unit: string | undefined;
}

export interface SparkplugMessage {
  /** 0 to 255; absent in NDEATH. */
  seq: number | undefined;
  timestampMillis: number | undefined;
  metrics: Metric[];
}

type ProtoMetric = org.eclipse.tahu.protobuf.Payload.IMetric;
type Integer = ProtoMetric['longValue'];

/** @throws Error when the bytes are no Sparkplug B payload */
export function openSparkplug(payload: Buffer): SparkplugMessage {
  const decoded = tahu.org.eclipse.tahu.protobuf.Payload.decode(payload);
  const has = (key: string): boolean => Object.hasOwn(decoded, key);
  if (decoded.metrics.length > MOST_METRICS) {
    throw new RangeError(`${decoded.metrics.length} metrics; at most ${MOST_METRICS} a message`);
  }
  return {
    seq: has('seq') ? numberOf(decoded.seq) : undefined,
    timestampMillis: has('timestamp') ? numberOf(decoded.timestamp) : undefined,
    metrics: decoded.metrics.map(metricOf),
  };
}

function metricOf(metric: ProtoMetric): Metric {
  const has = (key: string): boolean => Object.hasOwn(metric, key);
  return {
    name: has('name') && metric.name ? metric.name : undefined,
    alias: has('alias') ? textOf(metric.alias) : undefined,
    timestampMillis: has('timestamp') ? numberOf(metric.timestamp) : undefined,
    isHistorical: metric.isHistorical === true,
    raw: metric,
    unit: unitOf(metric),
  };
}

/** As its own message says; undefined where it leaves that to the birth. */
export function datatypeOf({ raw }: Metric): number | undefined {
  return raw.datatype || undefined;
}

/** Integers as they are, floats as the shortest decimal that means the same float. */
export function valueOf({ raw: metric }: Metric, datatype: number | undefined): Value {
  const has = (key: string): boolean => Object.hasOwn(metric, key);
  if (metric.isNull === true) return { kind: 'null' };
  if (has('intValue')) return { kind: 'number', text: signed(metric.intValue!, datatype) };
  if (has('longValue')) {
    return { kind: 'number', text: signed64(BigInt(textOf(metric.longValue)), datatype) };
  }
  if (has('doubleValue')) return floating(metric.doubleValue!, String(metric.doubleValue));
  if (has('floatValue')) return floating(metric.floatValue!, shortestFloat(metric.floatValue!));
  if (has('stringValue')) return { kind: 'other', text: metric.stringValue! };
  if (has('booleanValue')) return { kind: 'other', text: String(metric.booleanValue) };
  return { kind: 'missing' };
}

/** `int_value` is unsigned on the wire; signed types stand there in two's complement. */
function signed(value: number, datatype: number | undefined): string {
  const bits = value >>> 0;
  if (datatype === INT_8) return String((bits << 24) >> 24);
  if (datatype === INT_16) return String((bits << 16) >> 16);
  return String(datatype === INT_32 || !datatype ? bits | 0 : bits);
}

function signed64(value: bigint, datatype: number | undefined): string {
  return String(datatype === INT_64 ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
}

function floating(value: number, text: string): Value {
  return Number.isFinite(value) ? { kind: 'number', text } : { kind: 'null' };
}

/** A 32-bit float of 6825.4 is 6825.39990234375 as a number: 9 digits are always enough. */
function shortestFloat(value: number): string {
  for (let digits = 1; digits < 9; digits += 1) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return text;
  }
  return value.toPrecision(9);
}

function unitOf({ properties }: ProtoMetric): string | undefined {
  const index = properties?.keys?.findIndex((key) => /^eng(ineering)?_?unit$/i.test(key)) ?? -1;
  return index < 0 ? undefined : (properties?.values?.[index]?.stringValue ?? undefined);
}

function textOf(value: Integer): string {
  return String(value ?? 0);
}

/** Of a sequence or a time. @throws RangeError beyond 2^53 − 1 */
function numberOf(value: Integer): number {
  const number = Number(textOf(value));
  if (!Number.isSafeInteger(number)) throw new RangeError('an integer beyond 2^53 - 1');
  return number;
}

export function encodeRebirth(atMillis: number): Buffer {
  const { Payload } = tahu.org.eclipse.tahu.protobuf;
  const metric = {
    name: 'Node Control/Rebirth',
    timestamp: atMillis,
    datatype: BOOLEAN,
    booleanValue: true,
  };
  return Buffer.from(Payload.encode({ timestamp: atMillis, metrics: [metric] }).finish());
}

const [INT_8, INT_16, INT_32, INT_64, BOOLEAN] = [1, 2, 3, 4, 11];
const MOST_METRICS = 1_000;
