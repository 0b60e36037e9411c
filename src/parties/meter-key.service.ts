import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS, type Settings } from '../config.js';
import type { Sql } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import { EnrolmentJournal } from './enrolment-journal.js';
import { MarketClockService } from './market-clock.service.js';
import { causeOfKey, METER_KEY, parsePublicKey, type MeterKeyFacts } from './meter-key.js';
import * as store from './meter-key.store.js';
import { causeOfDevice } from './meter-profile.js';
import { parse } from './parse.js';

/** A key of a meter as it is shown. */
export interface ShownKey {
  meter: string;
  number: number;
  /** SubjectPublicKeyInfo, DER, base64; null where this revoked the key before. */
  publicKey: string | null;
  registeredAt: Instant;
}

/**
 * Registers and revokes the keys of meters that sign their readings. A meter that ever had a key is
 * believed only with a signature; a new key takes the place of the one before at once.
 */
@Injectable()
export class MeterKeyService {
  constructor(
    private readonly clock: MarketClockService,
    private readonly journal: EnrolmentJournal,
    @Inject(SETTINGS) private readonly settings: Pick<Settings, 'maxClockAheadSeconds'>,
  ) {}

  /** All keys of a meter, the last one holds. @throws Problem 404 for no such meter */
  async keys(sql: Sql, microgridId: string, meterId: string): Promise<ShownKey[]> {
    await this.meter(sql, microgridId, meterId);
    return this.stored(sql, microgridId, meterId);
  }

  /**
   * The causes of the records that say what these meters sign with: of their keys, and of their
   * devices, whose mapping may hold one; the latest of each, as many as a receipt has to look at.
   */
  async causes(sql: Sql, microgridId: string, meterIds: readonly string[]): Promise<string[]> {
    const rows = await sql.query<{ meterId: string; keys: number; changes: number }>(store.COUNTS, [
      microgridId,
      meterIds,
    ]);
    return rows.flatMap(({ meterId, keys, changes }) => [
      ...latest(keys).map((number) => causeOfKey(meterId, number)),
      ...latest(changes).map((change) => causeOfDevice(meterId, change)),
    ]);
  }

  /**
   * The same key again changes nothing.
   * @throws Problem 400 for no key, 404 for no such meter, 409 when the meter has ended or the key was
   *   revoked before
   */
  async register(
    sql: Sql,
    microgridId: string,
    meterId: string,
    request: { publicKey: string },
    by: string,
  ): Promise<ShownKey> {
    const der = parsePublicKey(parse(METER_KEY, request).publicKey);
    const publicKey = der.toString('base64');
    const meter = await this.meter(sql, microgridId, meterId);
    if (meter.activeUntil !== null) {
      const detail = `${meterId} ends at ${meter.activeUntil} and gets no new key.`;
      throw new Problem(409, 'moved_out', detail);
    }
    const known = await this.stored(sql, microgridId, meterId);
    const last = known.at(-1);
    if (last?.publicKey === publicKey) return last;
    if (known.some((one) => one.publicKey === publicKey)) {
      const detail = `${meterId} had this key before. Make a new one: who has the old one could sign.`;
      throw new Problem(409, 'key_was_replaced', detail);
    }
    return this.append(sql, microgridId, meterId, meter.householdId, known, der, by);
  }

  /** @throws Problem 404 for no such meter or no key that holds */
  async revoke(sql: Sql, microgridId: string, meterId: string, by: string): Promise<ShownKey> {
    const { householdId } = await this.meter(sql, microgridId, meterId);
    const known = await this.stored(sql, microgridId, meterId);
    if ((known.at(-1)?.publicKey ?? null) === null) {
      throw new Problem(404, 'unknown_key', `${meterId} has no key that could be revoked.`);
    }
    return this.append(sql, microgridId, meterId, householdId, known, null, by);
  }

  private async append(
    sql: Sql,
    microgridId: string,
    meterId: string,
    householdId: string,
    known: readonly ShownKey[],
    der: Buffer | null,
    by: string,
  ): Promise<ShownKey> {
    const now = await this.clock.now(sql);
    const number = known.length + 1;
    const publicKey = der?.toString('base64') ?? null;
    await sql.query(store.INSERT_KEY, [microgridId, meterId, number, der, now]);
    const facts: MeterKeyFacts = { action: 'meter-key', by, meter: meterId, number, publicKey };
    if (number === 1) {
      const untilMillis = parseInstant(now) + this.settings.maxClockAheadSeconds * 1_000;
      facts.unsignedUntil = formatInstant(untilMillis);
    }
    await this.journal.append(sql, microgridId, [
      {
        kind: 'operator-action',
        at: now,
        cause: causeOfKey(meterId, number),
        keyHolder: householdId,
        households: [householdId],
        facts,
        transfers: [],
      },
    ]);
    return { meter: meterId, number, publicKey, registeredAt: now };
  }

  private async stored(sql: Sql, microgridId: string, meterId: string): Promise<ShownKey[]> {
    const rows = await sql.query<{
      number: number;
      publicKey: Buffer | null;
      registeredAt: Instant;
    }>(store.KEYS, [microgridId, meterId]);
    return rows.map(({ number, publicKey, registeredAt }) => ({
      meter: meterId,
      number,
      publicKey: publicKey?.toString('base64') ?? null,
      registeredAt,
    }));
  }

  private async meter(
    sql: Sql,
    microgridId: string,
    meterId: string,
  ): Promise<{ householdId: string; activeUntil: Instant | null }> {
    const [meter] = await sql.query<{ householdId: string; activeUntil: Instant | null }>(
      store.METER,
      [microgridId, meterId],
    );
    if (!meter) {
      throw new Problem(404, 'unknown_meter', `There is no meter ${meterId} in ${microgridId}.`);
    }
    return meter;
  }
}

/** The last numbers up to this one. */
function latest(count: number): number[] {
  const length = Math.min(count, LATEST);
  return Array.from({ length }, (_, back) => count - back);
}

const LATEST = 100;
