import { z } from 'zod';
import { formatInstant, parseInstant } from '../src/units/slot.js';
import { ServiceRefusal, type ServiceSession } from './http.client.js';

/**
 * The street's reward program: its regulator funds it, every household joins with consent, and each
 * full hour that is settled is run, so that awards are paid for energy used from neighbors.
 */
export class RewardProgram {
  #runThroughMillis: number | null = null;

  constructor(
    private readonly microgrid: string,
    private readonly regulator: ServiceSession,
    private readonly tell: (message: string) => void,
  ) {}

  /** Founds it and has everyone join; what an interrupted run already did stays. */
  async found(sessions: ReadonlyMap<string, ServiceSession>): Promise<void> {
    await unlessDone(
      this.regulator.request('POST', `/v1/regulator/microgrids/${this.microgrid}/programs`, {
        program: PROGRAM,
        name: 'Energy from the neighbors',
        rateMicroPerKwh: RATE_MICRO_PER_KWH,
        fundMicro: FUND_MICRO,
      }),
    );
    for (const [household, session] of sessions) {
      await unlessDone(
        session.request('POST', `/v1/households/${household}/programs`, {
          program: PROGRAM,
          consent: true,
        }),
      );
    }
  }

  /**
   * Runs the full hours that have been settled since the first call.
   * @param closedThrough RFC 3339; null before the first slot
   */
  async runHours(closedThrough: string | null): Promise<void> {
    if (closedThrough === null) return;
    const settledMillis = Math.floor(parseInstant(closedThrough) / HOUR_MILLIS) * HOUR_MILLIS;
    this.#runThroughMillis ??= settledMillis;
    while (this.#runThroughMillis < settledMillis) {
      await this.#run(this.#runThroughMillis, this.#runThroughMillis + HOUR_MILLIS);
      this.#runThroughMillis += HOUR_MILLIS;
    }
  }

  async #run(fromMillis: number, toMillis: number): Promise<void> {
    const from = formatInstant(fromMillis);
    try {
      const path = `/v1/regulator/microgrids/${this.microgrid}/programs/${PROGRAM}/runs`;
      const answer = RUN.parse(
        await this.regulator.request('POST', path, { from, to: formatInstant(toMillis) }),
      );
      this.tell(`${answer.households} households were awarded for the hour from ${from}`);
    } catch (error) {
      // Run before a restart, or the fund is used up: the street goes on.
      if (!(error instanceof ServiceRefusal)) throw error;
      this.tell(`no awards for the hour from ${from}: ${error.message}`);
    }
  }
}

const PROGRAM = 'neighbors';
/** Two cents for each kWh used from neighbors. */
const RATE_MICRO_PER_KWH = 20_000;
const FUND_MICRO = 1_000_000_000;
const HOUR_MILLIS = 3_600_000;

const RUN = z.looseObject({ households: z.int() });

async function unlessDone(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof ServiceRefusal) || error.status !== 409) throw error;
  }
}
