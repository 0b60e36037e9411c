import { divideFloor, divideHalfEven, safeInteger, toSafeInteger } from './integer.js';

/**
 * What `energyWh` costs at `priceMicroPerKwh`, in micro-units, half to even, once per line.
 * @example costMicro(1_000, 120_000) === 120_000 // 1 kWh at 0.12
 */
export function costMicro(energyWh: number, priceMicroPerKwh: number): number {
  return toSafeInteger(
    divideHalfEven(
      BigInt(safeInteger(energyWh, 'energyWh')) * BigInt(safeInteger(priceMicroPerKwh, 'price')),
      1000n,
    ),
    'cost',
  );
}

/** The most energy, in Wh, whose cost at this price does not exceed `budgetMicro`; never negative. */
export function affordableWh(budgetMicro: number, priceMicroPerKwh: number): number {
  if (budgetMicro <= 0) return 0;
  if (priceMicroPerKwh === 0) return Number.MAX_SAFE_INTEGER;
  const wh = divideFloor(BigInt(budgetMicro) * 1000n, BigInt(priceMicroPerKwh));
  return wh > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(wh);
}

/**
 * Decimal currency text, exact, as micro-units.
 * @example parseMicro('0.30') === 300_000
 * @throws RangeError on anything but a decimal with at most six places
 */
export function parseMicro(text: string): number {
  const match = /^(-?)(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text.trim());
  if (!match) throw new RangeError(`not an amount with at most six decimals: ${text.slice(0, 40)}`);
  const micro = Number(match[2]) * 1_000_000 + Number((match[3] ?? '').padEnd(6, '0'));
  return safeInteger(match[1] === '-' && micro !== 0 ? -micro : micro);
}

/** Micro-units as decimal text, at least two places: `formatMicro(300_000) === '0.30'`. */
export function formatMicro(micro: number): string {
  const magnitude = BigInt(Math.abs(safeInteger(micro, 'amount')));
  const fraction = (magnitude % 1_000_000n)
    .toString()
    .padStart(6, '0')
    .replace(/0{1,4}$/, '');
  return `${micro < 0 ? '-' : ''}${magnitude / 1_000_000n}.${fraction}`;
}
