import { divideFloor, toSafeInteger } from './integer.js';

/** Registers are exact decimals of a Wh; inside they are bigint micro-Wh (1e-6 Wh). */
export const MICRO_WH_PER_WH = 1_000_000n;

/**
 * A register value written in decimal, as micro-Wh. Digits after the sixth decimal are dropped.
 * @param text e.g. `"14737.1422"`, `"5e3"`
 * @throws RangeError when it is not a non-negative decimal below 10^12 Wh
 */
export function parseRegisterWh(text: string): bigint {
  const match = /^\+?(\d{1,30})(?:\.(\d{1,40}))?(?:[eE]([+-]?\d{1,2}))?$/.exec(text.trim());
  if (!match) throw new RangeError(`not a non-negative decimal: ${text.slice(0, 40)}`);
  const fraction = match[2] ?? '';
  const shift = Number(match[3] ?? 0) + 6 - fraction.length;
  const digits = BigInt(match[1]! + fraction);
  const value = shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
  if (value >= 10n ** 18n) throw new RangeError(`register beyond 10^12 Wh: ${text.slice(0, 40)}`);
  return value;
}

/**
 * A register value as `JSON.parse` gives it, read from at most 15 digits: then the double still tells
 * which decimal it was.
 * @throws RangeError as `parseRegisterWh`
 */
export function registerOfNumber(valueWh: number): bigint {
  const microWh = Math.round(valueWh * 1e6);
  // Decimals of 15 digits have doubles of their own: this one has no seventh decimal to drop.
  if (valueWh > 0 && valueWh < 1e9 && microWh / 1e6 === valueWh) return BigInt(microWh);
  return parseRegisterWh(Object.is(valueWh, -0) ? '-0' : String(valueWh));
}

/** Micro-Wh as canonical decimal Wh: no trailing zeros, e.g. `"14737.1422"`. */
export function formatRegisterWh(microWh: bigint): string {
  const whole = microWh / MICRO_WH_PER_WH;
  const fraction = (microWh % MICRO_WH_PER_WH).toString().padStart(6, '0').replace(/0+$/, '');
  return fraction === '' ? `${whole}` : `${whole}.${fraction}`;
}

/** Micro-Wh floored to integer Wh: the one rounding of metering; differences of it telescope. */
export function floorToWh(microWh: bigint): number {
  return toSafeInteger(divideFloor(microWh, MICRO_WH_PER_WH), 'energy');
}
