import { parse as parseLossless } from 'lossless-json';

/**
 * JSON in which no digit of a number is lost: a number is a `LosslessNumber`, or plain where the engine's
 * own parser, ten times as fast, keeps every digit too.
 */

/**
 * @throws RangeError for what is not UTF-8 or nested too deep, SyntaxError for what is not JSON or names
 *   a member twice
 */
export function parseExactJson(payload: Buffer): unknown {
  const members = countPlainMembers(payload);
  if (members !== null) {
    const json = parsePlain(payload);
    // The engine takes the last of two members of one name: which of them was meant nobody knows.
    if (json !== undefined && countMembers(json) === members) return json;
  }
  return parseJson(payload);
}

/**
 * The members of a flat object, or of the flat objects of an array, before they are parsed. Null unless
 * the bytes are ASCII without escapes, and every number has at most 15 digits and no exponent.
 */
function countPlainMembers(bytes: Buffer): number | null {
  let [depth, members, digits] = [0, 0, 0];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if ((byte >= ZERO && byte <= NINE) || byte === POINT) {
      digits += 1;
      if (digits > MAX_DIGITS) return null;
      continue;
    }
    if (digits > 0 && (byte === LOWER_E || byte === UPPER_E)) return null;
    digits = 0;
    if (byte === QUOTE) {
      const end = endOfString(bytes, at + 1);
      if (end === null) return null;
      at = end;
    } else if (byte === COLON) members += 1;
    else if (byte === BRACE || byte === BRACKET) {
      depth += 1;
      if (depth > 2) return null;
    } else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) depth -= 1;
    else if (byte > LAST_ASCII) return null;
  }
  return members;
}

/** Where the string that begins at `from` has its closing quote; null where it holds anything special. */
function endOfString(bytes: Buffer, from: number): number | null {
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH || byte > LAST_ASCII) return null;
  }
  return null;
}

function parsePlain(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('latin1'));
  } catch {
    // The other parser says what is wrong.
    return undefined;
  }
}

/** Of an object, or of the objects in an array. */
function countMembers(json: unknown): number {
  if (typeof json !== 'object' || json === null) return 0;
  let members = 0;
  if (Array.isArray(json)) {
    for (const element of json) {
      if (!Array.isArray(element)) members += countMembers(element);
    }
  } else {
    for (const _ in json) members += 1;
  }
  return members;
}

/**
 * JSON whose numbers are all a `LosslessNumber`.
 * @throws RangeError or SyntaxError saying what is wrong
 */
export function parseJson(payload: Uint8Array, maxDepth = MAX_DEPTH): unknown {
  const text = parseText(payload);
  if (depthOf(text) > maxDepth) throw new RangeError(`nested deeper than ${maxDepth} levels`);
  return parseLossless(text);
}

/** @throws RangeError when the bytes are not UTF-8 */
export function parseText(payload: Uint8Array): string {
  try {
    return UTF_8.decode(payload);
  } catch {
    throw new RangeError('not UTF-8');
  }
}

/** Checked before parsing: the parser recurses, and its stack is finite. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    if (inString) {
      if (character === '\\') i += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth);
    else if (character === '}' || character === ']') depth -= 1;
  }
  return deepest;
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true });
const MAX_DEPTH = 4;
// A double tells 15 digits apart; the point may be one of them.
const MAX_DIGITS = 15;

const QUOTE = 0x22;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSING_BRACKET = 0x5d;
const LOWER_E = 0x65;
const BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const LAST_ASCII = 0x7f;
