import { Inject, Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { SETTINGS } from '../config.js';
import type { Settings } from '../config.js';
import { DatabaseService } from '../database/database.service.js';
import type { Sql } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import { formatInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';

/**
 * Market time. Either the system's clock, or a simulated one that only moves when told, only
 * forward, and is kept in the database so that every instance and every restart reads the same.
 */
@Injectable()
export class MarketClockService implements OnModuleInit {
  readonly mode: Settings['marketClock'];

  constructor(
    @Inject(SETTINGS) settings: Pick<Settings, 'marketClock'>,
    private readonly database: DatabaseService,
  ) {
    this.mode = settings.marketClock;
  }

  /** @throws Error when the database has lived by a simulated clock and this process would not */
  async onModuleInit(): Promise<void> {
    if (this.mode === 'simulated') return;
    const [row] = await this.database.query<{ now: Instant }>(SIMULATED_NOW);
    if (!row) return;
    throw new Error(
      `This database runs on a simulated clock, which stands at ${row.now}: set MARKET_CLOCK=simulated, or name another DATA_DIR or DATABASE_URL.`,
    );
  }

  /**
   * The current market time. A simulated clock that was never set stands at the earliest start of a
   * microgrid. Inside a transaction pass its `sql`.
   */
  async now(sql: Sql = this.database): Promise<Instant> {
    if (this.mode === 'system') return formatInstant(Date.now());
    const [row] = await sql.query<{ now: Instant }>(NOW);
    return row!.now;
  }

  /**
   * Moves the simulated clock; the first value may be any.
   * @throws Problem 409 when the clock is the system's, or already later
   */
  async advance(sql: Sql, to: Instant): Promise<void> {
    if (this.mode === 'system') {
      throw new Problem(
        409,
        'clock_not_simulated',
        'The service runs on the system clock. Start it with MARKET_CLOCK=simulated to set it.',
      );
    }
    const moved = await sql.query(ADVANCE, [to]);
    if (moved.length === 0) {
      const now = await this.now(sql);
      throw new Problem(
        409,
        'clock_backwards',
        `The clock stands at ${now} and only moves forward. Send a later instant.`,
      );
    }
  }
}

const SIMULATED_NOW = `SELECT now FROM market_clock`;

const NOW = `
SELECT coalesce(
  (SELECT now FROM market_clock),
  (SELECT min(starts_at) FROM microgrid),
  '1970-01-01T00:00:00Z'::timestamptz) AS now`;

const ADVANCE = `
INSERT INTO market_clock AS clock (now) VALUES ($1)
ON CONFLICT (only_row) DO UPDATE SET now = excluded.now WHERE clock.now <= excluded.now
RETURNING now`;
