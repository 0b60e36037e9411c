import type { Unit } from './mapping.js';

/**
 * Decimal arithmetic on the digits that a device sent: a register in any unit becomes whole micro-Wh
 * without passing through a binary float, which has no 2687.3687.
 */

/** `digits × 10^exponent`. */
export interface Decimal {
  digits: bigint;
  exponent: number;
}

const DECIMAL = /^([+-]?)(\d{0,40})(?:\.(\d{0,40}))?(?:[eE]([+-]?\d{1,2}))?$/;

/** Whether a text is a decimal number as devices write it, e.g. `-59.50`, `.5`, `005779.835`. */
export function isDecimal(text: string): boolean {
  const match = DECIMAL.exec(text);
  return match !== null && (match[2] ?? '') + (match[3] ?? '') !== '';
}

/** @throws RangeError when it is no decimal of at most 40 digits */
export function parseDecimal(text: string): Decimal {
  const match = DECIMAL.exec(text);
  const digits = (match?.[2] ?? '') + (match?.[3] ?? '');
  if (!match || digits === '') throw new RangeError(`not a decimal: ${text.slice(0, 40)}`);
  const magnitude = BigInt(digits);
  return {
    digits: match[1] === '-' ? -magnitude : magnitude,
    exponent: Number(match[4] ?? 0) - (match[3] ?? '').length,
  };
}

/** How a source's numbers become Wh and W. */
export interface Scale {
  unit: Unit;
  /** Decimal text, by default 1. */
  factor?: string | undefined;
  sign?: '+' | '-' | undefined;
}

/**
 * A register as micro-Wh, rounded down once.
 * @throws RangeError when it is negative or not below 10^12 Wh
 */
export function toMicroWh(text: string, scale: Scale): bigint {
  const { digits, exponent } = scaled(text, scale);
  const [numerator, denominator] = MICRO_WH[scale.unit] ?? [0n, 1n];
  if (numerator === 0n) throw new RangeError(`${scale.unit} is no unit of energy`);
  if (digits < 0n) throw new RangeError(`a register below zero: ${text.slice(0, 40)}`);
  const shift = 10n ** BigInt(Math.abs(exponent));
  const product = digits * numerator;
  const microWh = exponent < 0 ? product / (denominator * shift) : (product * shift) / denominator;
  if (microWh >= LARGEST_MICRO_WH) throw new RangeError(`register beyond 10^12 Wh: ${text}`);
  return microWh;
}

/** A power in watts, for display. @throws RangeError beyond a gigawatt */
export function toWatts(text: string, scale: Scale): number {
  const factor = WATTS[scale.unit];
  if (factor === undefined) throw new RangeError(`${scale.unit} is no unit of power`);
  const { digits, exponent } = scaled(text, scale);
  const watts = Number(`${digits}e${exponent + factor}`);
  if (!(Math.abs(watts) <= MOST_WATTS)) throw new RangeError(`no power in watts: ${text}`);
  return watts + 0;
}

function scaled(text: string, { factor, sign }: Scale): Decimal {
  const value = parseDecimal(text);
  const by = factor === undefined ? { digits: 1n, exponent: 0 } : parseDecimal(factor);
  const digits = value.digits * by.digits;
  return { digits: sign === '-' ? -digits : digits, exponent: value.exponent + by.exponent };
}

const LARGEST_MICRO_WH = 10n ** 18n;
const MOST_WATTS = 1e9;

/** One unit as a fraction of micro-Wh. A watt-minute is a sixtieth, a joule a 3600th of a Wh. */
const MICRO_WH: Readonly<Partial<Record<Unit, readonly [bigint, bigint]>>> = {
  Wh: [10n ** 6n, 1n],
  kWh: [10n ** 9n, 1n],
  MWh: [10n ** 12n, 1n],
  GWh: [10n ** 15n, 1n],
  Wmin: [10n ** 6n, 60n],
  Ws: [10n ** 6n, 3_600n],
  J: [10n ** 6n, 3_600n],
  kJ: [10n ** 9n, 3_600n],
  MJ: [10n ** 12n, 3_600n],
};

/** Powers of ten. */
const WATTS: Readonly<Partial<Record<Unit, number>>> = { W: 0, kW: 3, MW: 6 };
