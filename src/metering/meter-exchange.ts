import { z } from 'zod';
import { formatRegisterWh, parseRegisterWh } from '../units/energy.js';
import type { JsonObject } from '../units/canonical-json.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Exchange } from './plausibility.js';
import type { Register } from './reading.js';

/**
 * An operator's word that a meter was replaced under the same id: what the old one showed last and
 * the new one first, of each register. Energy goes on from the one to the other without a leap.
 */

const REGISTER_WH = z.union([z.string(), z.number()]).transform((value, context) => {
  try {
    return formatRegisterWh(parseRegisterWh(String(value)));
  } catch (error) {
    context.addIssue({ code: 'custom', message: String((error as Error).message) });
    return z.NEVER;
  }
});

const END_VALUES = z.strictObject({ oldFinalWh: REGISTER_WH, newFirstWh: REGISTER_WH });

/** `{"exchangedAt":"2027-02-01T10:07:00Z","import":{"oldFinalWh":734512.5,"newFirstWh":0}}` */
export const METER_EXCHANGE = z
  .strictObject({
    exchangedAt: z.iso.datetime({ offset: true }),
    import: END_VALUES.optional(),
    export: END_VALUES.optional(),
  })
  .refine((one) => one.import !== undefined || one.export !== undefined, {
    message: 'needs the end values of import, export, or both',
  });

export type MeterExchange = z.output<typeof METER_EXCHANGE>;

/** Of the record of an exchange. */
export type ExchangeFacts = {
  action: 'meter-exchanged';
  by: string;
  meter: string;
  exchangedAt: Instant;
  registers: { register: Register; oldFinalWh: string; newFirstWh: string }[];
};

export function exchangeFacts(
  meter: string,
  exchangedAt: Instant,
  exchange: MeterExchange,
  by: string,
): ExchangeFacts & JsonObject {
  const registers = (['import', 'export'] as const).flatMap((register) => {
    const values = exchange[register];
    return values ? [{ register, ...values }] : [];
  });
  return { action: 'meter-exchanged', by, meter, exchangedAt, registers };
}

/** What the exchange says of one register; null: nothing, so it went on as it was. */
export function exchangeOf(
  { exchangedAt, registers }: Pick<ExchangeFacts, 'exchangedAt' | 'registers'>,
  register: Register,
): Exchange | null {
  const values = registers.find((one) => one.register === register);
  if (!values) return null;
  return {
    atMillis: parseInstant(exchangedAt),
    oldFinalMicroWh: parseRegisterWh(values.oldFinalWh),
    newFirstMicroWh: parseRegisterWh(values.newFirstWh),
  };
}
