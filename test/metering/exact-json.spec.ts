import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { LosslessNumber, parse } from 'lossless-json';
import { parseExactJson } from '../../src/metering/exact-json.js';
import { decodeReadings } from '../../src/metering/reading.js';
import { parseRegisterWh, registerOfNumber } from '../../src/units/energy.js';

/** What a text says, numbers as their exact decimals; or that it says nothing. */
function told(read: () => unknown): unknown {
  try {
    return exactly(read());
  } catch {
    return 'refused';
  }
}

function exactly(json: unknown): unknown {
  if (json instanceof LosslessNumber || typeof json === 'number') {
    const text = Object.is(json, -0)
      ? '-0'
      : String(json instanceof LosslessNumber ? json.value : json);
    return { number: decimalOf(text) };
  }
  if (Array.isArray(json)) return json.map(exactly);
  if (typeof json !== 'object' || json === null) return json;
  return { members: Object.entries(json).map(([name, value]) => [name, exactly(value)]) };
}

/** @example decimalOf('-12.50e1') === '-125' */
function decimalOf(text: string): string {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)!;
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const trimmed = digits.replace(/0+$/, '');
  const power = Number(exponent) - fraction.length + digits.length - trimmed.length;
  return trimmed === '' ? `${sign}0` : `${sign}${trimmed}e${power}`;
}

const twin = (text: string): unknown => told(() => parse(text));
const parsed = (text: string): unknown => told(() => parseExactJson(Buffer.from(text)));

it.each([
  '{"a":9007199254740993}',
  '{"a":0.1234567890123456789}',
  '{"a":123456789012345}',
  '{"a":12345678.901234}',
  '{"a":1e400}',
  '{"a":1E2}',
  '{"a":-0}',
  '{"a":-0.0}',
  '{"a":1,"a":2}',
  '{"a":1,"a":1}',
  '{"a":1,"\\u0061":2}',
  '{"__proto__":1,"a":2}',
  '{"a":{"b":1,"b":2}}',
  '[{"a":1,"a":2},{"b":1}]',
  '[{"a":1},{"a":1,"b":{"c":1}}]',
  '{"a":"€","b":"\\n"}',
  '{"a":01}',
  '{"a":1.}',
  '{"a":true,"b":null,"c":false}',
  ' [ {"a" : "x:y,{" } ] ',
  '{"a":1}}',
  '7',
  '',
])('reads %s as the slow parser does, to the last digit', (text) => {
  expect(parsed(text)).toEqual(twin(text));
});

it('reads whatever looks like readings as the slow parser does', () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.tuple(fc.bigInt(0n, 10n ** 20n), fc.nat(20)).map(([digits, point]) => {
      const text = String(digits).padStart(point + 1, '0');
      return point === 0 ? text : `${text.slice(0, -point)}.${text.slice(-point)}`;
    }),
  );
  const member = fc
    .tuple(
      fc.constantFrom('a', 'b', 'importWh', '__proto__'),
      fc.oneof(number, fc.json({ maxDepth: 1 })),
    )
    .map(([name, value]) => `"${name}":${value}`);
  const object = fc.array(member, { maxLength: 4 }).map((members) => `{${members.join(',')}}`);
  const text = fc.oneof(
    object,
    fc.array(object, { maxLength: 3 }).map((objects) => `[${objects.join(', ')}]`),
  );
  fc.assert(
    fc.property(text, (json) => {
      if (parsed(json) !== 'refused') expect(parsed(json)).toEqual(twin(json));
      else expect(() => parse(json)).toThrow(/Duplicate|Invalid|expected/);
    }),
    { numRuns: 2_000 },
  );
});

it('reads a register from a double as from its digits', () => {
  const digits = fc.tuple(fc.bigInt(0n, 10n ** 15n - 1n), fc.nat(15)).map(([value, point]) => {
    const text = String(value).padStart(point + 1, '0');
    return point === 0 ? text : `${text.slice(0, -point)}.${text.slice(-point)}`;
  });
  fc.assert(
    fc.property(digits, (text) => {
      const asNumber = () => registerOfNumber(Number(text));
      const asText = () => parseRegisterWh(text);
      expect(told(asNumber)).toEqual(told(asText));
    }),
    { numRuns: 5_000 },
  );
});

it('says the same of a payload however it is spaced', () => {
  const plain = '{"readAt":"2026-06-01T12:15:00Z","importWh":14737.1422,"powerW":-0.5}';
  const escaped = plain.replace('readAt', 'read\\u0041t');
  expect(decodeReadings(Buffer.from(plain))).toEqual(decodeReadings(Buffer.from(escaped)));
});
