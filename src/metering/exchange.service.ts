import { Injectable } from '@nestjs/common';
import type { Sql } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Microgrid } from '../parties/microgrid.js';
import { Problem } from '../units/problem.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import { mark } from './correction.store.js';
import { exchangeFacts } from './meter-exchange.js';
import type { MeterExchange } from './meter-exchange.js';

/** Takes down that a meter was replaced: in the journal, and for the registers of its slots. */
@Injectable()
export class ExchangeService {
  constructor(
    private readonly ledger: LedgerService,
    private readonly clock: MarketClockService,
  ) {}

  /**
   * Slots around the exchange that were settled without it are settled again.
   * @throws Problem 404 for no such meter; 409 outside the correction window, or where another
   *   exchange stands at that instant
   */
  async exchange(
    sql: Sql,
    { microgridId, correctionDays }: Microgrid,
    meterId: string,
    exchange: MeterExchange,
    by: string,
  ): Promise<{ meter: string; exchangedAt: Instant; sequence: number }> {
    await this.ledger.lock(sql, microgridId);
    const [meter] = await sql.query<{ householdId: string }>(METER, [microgridId, meterId]);
    if (!meter) throw new Problem(404, 'unknown_meter', `There is no meter ${meterId} here.`);
    const now = await this.clock.now(sql);
    const atMillis = parseInstant(exchange.exchangedAt);
    const exchangedAt = formatInstant(atMillis);
    const since = parseInstant(now) - correctionDays * 86_400_000;
    if (atMillis > parseInstant(now) || atMillis < since) {
      const range = `${formatInstant(since)} to ${now}`;
      throw new Problem(409, 'outside_the_window', `An exchange has to lie in ${range}.`);
    }
    const facts = exchangeFacts(meterId, exchangedAt, exchange, by);
    const { registers } = facts;
    const names = registers.map(({ register }) => register);
    const known = await sql.query(KNOWN, [microgridId, meterId, names, exchangedAt]);
    if (known.length > 0) {
      const text = `${meterId} was exchanged at ${exchangedAt} already.`;
      throw new Problem(409, 'exchanged_already', text);
    }
    const [sequence] = await this.ledger.append(sql, microgridId, [
      {
        kind: 'operator-action',
        at: now,
        cause: `meter/${meterId}/exchanged/${exchangedAt}`,
        keyHolder: meter.householdId,
        households: [meter.householdId],
        facts,
        transfers: [],
      },
    ]);
    await sql.query(INSERT_EXCHANGE, [
      microgridId,
      meterId,
      names,
      exchangedAt,
      registers.map(({ oldFinalWh }) => oldFinalWh),
      registers.map(({ newFirstWh }) => newFirstWh),
      sequence,
    ]);
    const places = names.map((register) => ({ meterId, register, at: exchangedAt }));
    await mark(sql, microgridId, places);
    return { meter: meterId, exchangedAt, sequence: sequence! };
  }
}

const METER = `
SELECT household_id AS "householdId" FROM meter WHERE microgrid_id = $1 AND meter_id = $2`;

const KNOWN = `
SELECT FROM meter_exchange
WHERE microgrid_id = $1 AND meter_id = $2 AND register = ANY ($3::text[]) AND exchanged_at = $4`;

const INSERT_EXCHANGE = `
INSERT INTO meter_exchange
  (microgrid_id, meter_id, register, exchanged_at, old_final_wh, new_first_wh, sequence)
SELECT $1::text, $2::text, e.register, $4::timestamptz, e.old_final_wh, e.new_first_wh, $7::bigint
FROM unnest($3::text[], $5::numeric[], $6::numeric[]) AS e (register, old_final_wh, new_first_wh)`;
