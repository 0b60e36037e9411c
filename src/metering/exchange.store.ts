import type { Sql } from '../database/database.service.js';
import { parseRegisterWh } from '../units/energy.js';
import { parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import type { RegisterSlot } from './border.store.js';
import type { Exchange } from './plausibility.js';

/** Meters that were replaced, as PostgreSQL keeps them. */

/** Exchanges of the meters of these registers, in time, by the registers' places from 1 on. */
export async function readExchanges(
  sql: Sql,
  microgridId: string,
  asked: readonly Pick<RegisterSlot, 'meterId' | 'register'>[],
): Promise<Map<number, Exchange[]>> {
  if (asked.length === 0) return new Map();
  const rows = await sql.query<ExchangeRow>(EXCHANGES, [
    microgridId,
    asked.map(({ meterId }) => meterId),
    asked.map(({ register }) => register),
  ]);
  const exchanges = new Map<number, Exchange[]>();
  for (const { place, at, old_final_wh, new_first_wh } of rows) {
    const exchange = {
      atMillis: parseInstant(at),
      oldFinalMicroWh: parseRegisterWh(old_final_wh),
      newFirstMicroWh: parseRegisterWh(new_first_wh),
    };
    exchanges.set(place, [...(exchanges.get(place) ?? []), exchange]);
  }
  return exchanges;
}

interface ExchangeRow {
  place: number;
  at: Instant;
  old_final_wh: string;
  new_first_wh: string;
}

const EXCHANGES = `
SELECT asked.place, r.exchanged_at AS at, r.old_final_wh, r.new_first_wh
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS asked (meter_id, register, place)
JOIN meter_exchange r ON r.microgrid_id = $1::text AND r.meter_id = asked.meter_id
  AND r.register = asked.register
ORDER BY asked.place, r.exchanged_at`;
