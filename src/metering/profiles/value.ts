import { isLosslessNumber } from 'lossless-json';
import type { Register, Rejection } from '../reading.js';
import { isDecimal, toMicroWh, toWatts } from './decimal.js';
import type { Scale } from './decimal.js';

/**
 * A value in a payload. Missing (nothing was said), null (the device does not know), empty (the
 * device is gone) and zero are four different things, and none becomes another.
 */
export type Value =
  | { kind: 'missing' }
  | { kind: 'null' }
  | { kind: 'empty' }
  | { kind: 'number'; text: string }
  | { kind: 'other'; text: string };

/** The whole payload as one value: `230.35`, `"6825.4"`, `null`, `unavailable`, or nothing. */
export function bareValue(payload: string): Value {
  const text = payload.trim();
  return textValue(/^".*"$/s.test(text) ? text.slice(1, -1).trim() : text);
}

/** What stands in JSON at the end of a path; of what it inherits, nothing. */
export function valueAt(json: unknown, path: readonly string[]): Value {
  const found = memberAt(json, path);
  if (found === undefined) return { kind: 'missing' };
  if (found === null) return { kind: 'null' };
  if (isLosslessNumber(found)) return { kind: 'number', text: found.value };
  if (typeof found === 'string') return textValue(found.trim());
  return { kind: 'other', text: Array.isArray(found) ? 'a list' : typeof found };
}

/** @returns undefined where there is no such member */
export function memberAt(json: unknown, path: readonly string[]): unknown {
  let found = json;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || isLosslessNumber(found)) return undefined;
    if (!Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** `SML.Total_in` or the list of its names, as a list. */
export function pathOf(path: string | readonly string[]): readonly string[] {
  return typeof path === 'string' ? path.split('.') : path;
}

/** The energy of a value; null when nothing was said; or why there is none. */
export function energyOf(value: Value, name: string, scale: Scale): bigint | null | Rejection {
  return numberOf(value, name, (text) => toMicroWh(text, scale));
}

/** The same of a power. */
export function powerOf(value: Value, name: string, scale: Scale): number | null | Rejection {
  return numberOf(value, name, (text) => toWatts(text, scale));
}

export function isRejection(outcome: bigint | number | null | Rejection): outcome is Rejection {
  return typeof outcome === 'object' && outcome !== null;
}

/** The register that a power counts up. */
export function registerOfPower(powerW: number): Register {
  return powerW < 0 ? 'export' : 'import';
}

function numberOf<T>(value: Value, name: string, read: (text: string) => T): T | null | Rejection {
  switch (value.kind) {
    case 'missing':
      return null;
    case 'null':
      return { reason: 'no_value', detail: `${name} has no value now, which is not zero` };
    case 'empty':
      return { reason: 'device_gone', detail: `${name} is empty: its device is gone` };
    case 'other':
      return { reason: 'malformed', detail: `${name} is not a number` };
    case 'number':
      try {
        return read(value.text);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        return { reason: 'malformed', detail: `${name}: ${error.message}` };
      }
  }
}

function textValue(text: string): Value {
  if (text === '') return { kind: 'empty' };
  if (isDecimal(text)) return { kind: 'number', text };
  return NO_VALUE.test(text) ? { kind: 'null' } : { kind: 'other', text };
}

/** How devices write that they do not know. */
const NO_VALUE = /^(null|nil|none|unknown|unavailable|nan|-|n\/a|undefined)$/i;
