import type { z } from 'zod';
import { jsonLineOf, jsonSyntaxError, type JsonPath } from '../units/json-text.js';
import { clearInput, MECHANISMS, type ClearInput } from './clear-input.js';

/** A book as text: what it says, or in which lines and fields it is wrong. */

/** @param mechanism takes the place of the one in the text */
export function readBook(
  text: string,
  mechanism?: string,
): { input: ClearInput } | { faults: string[] } {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    const { line, message } = jsonSyntaxError(text) ?? { line: 1, message: 'it cannot be read' };
    return { faults: [`line ${line}: not JSON: ${message}`] };
  }
  const isObject = typeof document === 'object' && document !== null && !Array.isArray(document);
  if (mechanism !== undefined && isObject) document = { ...(document as object), mechanism };
  const parsed = clearInput.safeParse(document);
  if (parsed.success) return { input: parsed.data };
  const found = parsed.error.issues.flatMap(faultsOf);
  const faults = found.slice(0, MOST_FAULTS).map(({ path, message }) => {
    const place = fieldName(path);
    return `line ${jsonLineOf(text, path)}: ${place === '' ? 'the document' : place}: ${message}`;
  });
  const more = found.length - faults.length;
  return { faults: more > 0 ? [...faults, `and ${more} more`] : faults };
}

/** Told of one input; the rest is counted. */
const MOST_FAULTS = 10;

/** A member that is not known is itself what is wrong, not what holds it. */
function faultsOf(issue: z.core.$ZodIssue): { path: JsonPath; message: string }[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: 'is not known here' }));
  }
  if (issue.code === 'invalid_union' && path.length === 1 && path[0] === 'mechanism') {
    return [{ path, message: `must be one of ${MECHANISMS.join(', ')}` }];
  }
  return [{ path, message: issue.message }];
}

/** `bids[3].price` */
function fieldName(path: JsonPath): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '');
}
