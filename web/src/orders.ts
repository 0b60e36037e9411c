/** A household's orders as typed, checked, and said back in plain words. */
import type { Order, PriceLevel } from './answers.js';
import { formatEnergy, formatMoney, formatPrice } from './format.js';
import { costMicro } from '../../src/units/money.js';

export type ParsedEnergy = { ok: true; energyWh: number } | { ok: false; reason: string };

/**
 * An energy as people type it, in kWh: point or comma, up to three decimals.
 * @example parseEnergy('0,5') // { ok: true, energyWh: 500 }
 */
export function parseEnergy(typed: string): ParsedEnergy {
  const text = typed.trim().replace(',', '.').replace(/^\./, '0.').replace(/\.$/, '');
  if (text === '') return { ok: false, reason: 'Write how much, such as 0.5.' };
  const match = /^(\d{1,5})(?:\.(\d+))?$/.exec(text);
  if (!match) return { ok: false, reason: 'Write an energy in kWh such as 0.5.' };
  const decimals = match[2] ?? '';
  if (decimals.length > 3) return { ok: false, reason: 'Use at most three decimals.' };
  const energyWh = Number(match[1]) * 1000 + Number(decimals.padEnd(3, '0'));
  return energyWh > 0
    ? { ok: true, energyWh }
    : { ok: false, reason: 'It must be more than nothing.' };
}

/** What an order will do, before it is placed. */
export function explainOrder(
  order: { side: Order['side']; energyWh: number; priceMicroPerKwh: number; firm: boolean },
  currency: string,
): string {
  const { side, energyWh, priceMicroPerKwh, firm } = order;
  const much = formatEnergy(energyWh);
  const price = formatPrice(priceMicroPerKwh, currency);
  const settled = firm
    ? `Binding: it settles in full, and what you ${side === 'bid' ? 'do not use' : 'do not deliver'} is dealt with the grid.`
    : 'It settles what is really delivered, and never costs more than your tariff.';
  if (side === 'ask') return `You sell up to ${much} for ${price} per kWh or more. ${settled}`;
  const held = formatMoney(costMicro(energyWh, priceMicroPerKwh), currency);
  return `You buy up to ${much} for ${price} per kWh or less. Your wallet keeps ${held} for it. ${settled}`;
}

/** What has become of an order so far. */
export function orderInWords({ status, energyWh, filledWh }: Order): string {
  const traded = `${formatEnergy(filledWh)} of ${formatEnergy(energyWh)} traded`;
  switch (status) {
    case 'open':
      return filledWh === 0 ? 'waiting' : `waiting, ${traded}`;
    case 'filled':
      return 'traded in full';
    case 'partly-filled':
      return traded;
    case 'unfilled':
      return 'not traded';
    case 'cancelled':
      return filledWh === 0 ? 'taken back' : `the rest taken back, ${traded}`;
  }
}

/** Why an order was not taken: what to do about it, in words of the page. */
const REFUSALS: Readonly<Record<string, string>> = {
  mechanism_takes_no_orders: 'This street takes no orders.',
  unknown_slot: 'There is no such slot for you. Choose one from the list.',
  gate_closed: 'The gate of that slot has just closed. Choose a later one.',
  price_outside_tariffs:
    'The price lies outside the tariffs: beyond them the grid is the better neighbor.',
  energy_not_positive: 'It must be at least 1 Wh.',
  above_connection_limit:
    'With your other orders for the slot, that is more than your line carries.',
  opposite_side_open: 'You have orders on the other side of this slot. Take them back first.',
  too_many_orders: 'You have too many open orders for this slot. Take one back first.',
  exceeds_balance: 'Your wallet does not cover that. Pay in, or order less.',
  order_ended: 'Nothing of it is left to take back.',
};

export function refusalInWords({ code, message }: { code: string; message: string }): string {
  return REFUSALS[code] ?? message;
}

/** Some of the coming slots, from the first whose gate is open. */
export function slotsFrom(first: string, slotMinutes: number, count: number): string[] {
  const start = Date.parse(first);
  return Array.from({ length: count }, (_, place) =>
    new Date(start + place * slotMinutes * 60_000).toISOString().replace('.000Z', 'Z'),
  );
}

/** The first levels of a side, best first. */
export function levelsInWords(levels: readonly PriceLevel[], currency: string): string[] {
  return levels
    .slice(0, 5)
    .map(
      ({ energyWh, priceMicroPerKwh }) =>
        `${formatEnergy(energyWh)} at ${formatPrice(priceMicroPerKwh, currency)}`,
    );
}

/** A key for one order, however often it has to be sent. */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
