/**
 * Where in a JSON text something stands, for messages that a person can act on: the line of a syntax
 * error, or of a member that a schema refuses. RFC 8259.
 */

export type JsonPath = readonly (string | number)[];

/** What is wrong with a text, and in which line; null when it is JSON. */
export function jsonSyntaxError(text: string): { line: number; message: string } | null {
  try {
    scan(text, []);
    return null;
  } catch (error) {
    if (!(error instanceof UnexpectedText)) throw error;
    return { line: lineAt(text, error.offset), message: error.message };
  }
}

/** The line of the member at `path`, or of what would hold it when it is missing. @param text JSON */
export function jsonLineOf(text: string, path: JsonPath): number {
  return lineAt(text, scan(text, path));
}

/** Deeper texts are refused: nothing that is read here needs it. */
const DEEPEST = 200;

class UnexpectedText extends Error {
  constructor(
    readonly offset: number,
    expected: string,
  ) {
    super(`expected ${expected}`);
  }
}

/** Reads all of the text. @returns the offset of what matches the longest beginning of `path` */
function scan(text: string, path: JsonPath): number {
  let at = 0;
  let [found, matched] = [0, -1];
  const unexpected = (expected: string) =>
    new UnexpectedText(at, at < text.length ? expected : `${expected}, not the end`);
  const token = (pattern: RegExp, expected: string): void => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) throw unexpected(expected);
    at = pattern.lastIndex;
  };
  const string = (expected: string): string => {
    const end = endOfString(text, at);
    if (end === -1) throw unexpected(expected);
    const start = at;
    at = end;
    return text.slice(start, end);
  };
  const skip = () => token(/[ \t\n\r]*/y, 'space');
  const isNext = (sign: string): boolean => {
    skip();
    if (text[at] !== sign) return false;
    at += 1;
    return true;
  };
  /** @param depth how much of the path leads here, or −1 when it leads elsewhere */
  const value = (depth: number, level: number): void => {
    skip();
    if (level > DEEPEST) throw new UnexpectedText(at, `at most ${DEEPEST} levels`);
    if (depth > matched) [found, matched] = [at, depth];
    const below = (name: string | number) => (depth >= 0 && path[depth] === name ? depth + 1 : -1);
    if (isNext('{')) {
      if (isNext('}')) return;
      do {
        skip();
        const name = string('a member name in double quotes');
        if (!isNext(':')) throw new UnexpectedText(at, "':'");
        value(below(JSON.parse(name) as string), level + 1);
      } while (isNext(','));
      if (!isNext('}')) throw new UnexpectedText(at, "',' or '}'");
    } else if (isNext('[')) {
      if (isNext(']')) return;
      let index = 0;
      do value(below(index++), level + 1);
      while (isNext(','));
      if (!isNext(']')) throw new UnexpectedText(at, "',' or ']'");
    } else if (text[at] === '"') {
      string('a value');
    } else {
      token(SCALAR, 'a value');
    }
  };
  value(0, 0);
  skip();
  if (at < text.length) throw new UnexpectedText(at, 'the end');
  return found;
}

const SCALAR = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPE = /["\\/bfnrt]|u[0-9a-fA-F]{4}/y;

/** The offset behind the string that begins at `start`, or −1: RFC 8259 section 7. */
function endOfString(text: string, start: number): number {
  if (text[start] !== '"') return -1;
  for (let at = start + 1; at < text.length; at += 1) {
    const sign = text[at]!;
    if (sign === '"') return at + 1;
    if (sign < ' ') return -1;
    if (sign !== '\\') continue;
    ESCAPE.lastIndex = at + 1;
    if (!ESCAPE.test(text)) return -1;
    at = ESCAPE.lastIndex - 1;
  }
  return -1;
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) {
    line += 1;
  }
  return line;
}
