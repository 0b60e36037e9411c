import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { formatInstant, parseInstant, slotStartOf } from '../src/units/slot.js';
import { SettlementFeed } from './feed.client.js';
import type { SimulatedHousehold } from './household.js';
import type { ServiceSession } from './http.client.js';
import { joinStreet, setClock } from './join-street.js';
import { ReadingPublisher } from './mqtt.client.js';
import { metersOf } from './neighborhood.js';
import type { Patience } from './patience.js';
import type { RewardProgram } from './reward-program.js';
import type { ServiceWhereabouts } from './service.whereabouts.js';
import type { SimulateOptions } from './simulate-options.js';
import { firstStreet, learn, messagesOf, stepStreet, type Street } from './street.js';
import { readStreetState, writeStreetState, type DemoLogins } from './street.store.js';

/**
 * One run of the simulated street: its meters publish over MQTT, its households hear of their
 * settlements and change their batteries' plans, and a simulated market clock is moved on, never past
 * readings that are not acknowledged. Registers are written down before they are published, so that
 * the street goes on exactly where it stood, whoever was restarted.
 */
export class StreetRun {
  #street: Street | null = null;
  #clock = 0;
  #startedClock: number | null = null;
  #simulated = false;
  #simulator: ServiceSession | null = null;
  #program: RewardProgram | null = null;
  #publishers = new Map<string, ReadingPublisher>();
  #feeds: SettlementFeed[] = [];
  #readings = 0;
  #planChanges = 0;

  constructor(
    readonly options: SimulateOptions,
    readonly households: readonly SimulatedHousehold[],
    readonly service: ServiceWhereabouts,
    readonly tell: (message: string) => void,
    readonly patience: Patience,
  ) {}

  /** Enrols the street if nobody did, finds out where it stands, and connects its devices. */
  async prepare(): Promise<void> {
    await this.service.look();
    const { logins, sessions, simulator, program } = await joinStreet(this);
    this.#simulator = simulator;
    this.#program = program;
    await this.#findPlace(sessions.values().next().value);
    await this.#connectMeters(logins);
    this.#listen(sessions);
  }

  /** From where the street stands until the end that was asked for, or for ever. */
  async play(): Promise<void> {
    const until = this.options.untilOf(this.#clock);
    // Once more what was last written down: whether it was acknowledged before is not known.
    await this.#publish();
    let pace = { realMillis: Date.now(), marketMillis: this.#clock };
    while (this.#clock < until) {
      const readingAt = this.#street!.at + this.#street!.stepMinutes * 60_000;
      const target = Math.min(
        this.#clock + this.#tickMillis(),
        Math.max(readingAt, this.#clock),
        until,
      );
      const due = pace.realMillis + (target - pace.marketMillis) / this.#rate();
      if (due > Date.now()) await sleep(due - Date.now(), null, { signal: this.patience.signal });
      // After an outage the street goes on at its pace instead of racing after the lost time.
      else if (this.#simulated && Date.now() - due > 2 * TICK_MILLIS) {
        pace = { realMillis: Date.now(), marketMillis: target };
      }
      await this.#moveClock(target);
      while (this.#street!.at + this.#street!.stepMinutes * 60_000 <= this.#clock)
        await this.#step();
    }
    // Everything of the last slot is read; a moment later it closes.
    if (this.#simulated) await this.#moveClock(until + 1_000);
    await sleep(500, null, { signal: this.patience.signal });
  }

  counts(): StreetCounts {
    const instant = (millis: number | null) => (millis === null ? null : formatInstant(millis));
    return {
      microgrid: this.options.microgrid,
      seed: this.options.seed,
      households: this.households.length,
      from: instant(this.#startedClock),
      until: instant(this.#startedClock === null ? null : this.#clock),
      readings: this.#readings,
      settlements: this.#feeds.reduce((total, feed) => total + feed.settlements, 0),
      planChanges: this.#planChanges,
      reconnects: [...this.#publishers.values()].reduce((total, one) => total + one.reconnects, 0),
    };
  }

  async close(): Promise<void> {
    for (const feed of this.#feeds) feed.close();
    await Promise.all([...this.#publishers.values()].map((publisher) => publisher.close()));
    this.service.close();
  }

  async #findPlace(session: ServiceSession | undefined): Promise<void> {
    if (!session) throw new Error('the demo log-ins hold no household');
    const { microgrid, seed, dataDir, stepMinutes } = this.options;
    const { now, clock, closedThrough } = MICROGRID.parse(
      await this.patience.until(() => session.request('GET', `/v1/microgrids/${microgrid}`)),
    );
    this.#simulated = clock === 'simulated';
    if (this.#simulated && !this.#simulator) {
      throw new Error('the demo log-ins hold no simulator to move the market clock with');
    }
    this.#clock = parseInstant(now);
    this.#startedClock = this.#clock;
    const known = await readStreetState(dataDir);
    if (known && (known.microgrid !== microgrid || known.seed !== seed)) {
      throw new Error(
        `the state in this data folder is of --microgrid ${known.microgrid} --seed ${known.seed}`,
      );
    }
    if (!known && closedThrough !== null) {
      throw new Error(
        `the street has run until ${closedThrough}, but its simulator-state.json is missing: registers ` +
          'would fall. Bring the file back, or start on a new DATA_DIR.',
      );
    }
    this.#street =
      known ??
      firstStreet(
        {
          microgrid,
          seed,
          stepMinutes: stepMinutes ?? (this.#simulated ? 5 : 1),
          at: slotStartOf(this.#clock, 15),
        },
        this.households,
      );
    if (!known) await writeStreetState(dataDir, this.#street);
  }

  async #connectMeters(logins: DemoLogins): Promise<void> {
    const secrets = new Map(logins.devices.map((device) => [device.username, device.secret]));
    const meters = this.households.flatMap((household) => metersOf(household));
    await Promise.all(
      meters.map(async ({ meter }) => {
        const password = secrets.get(meter);
        if (password === undefined) throw new Error(`the demo log-ins hold no secret of ${meter}`);
        const publisher = await ReadingPublisher.connect({
          url: this.service.mqttUrl,
          username: meter,
          password,
          connections: 1,
          patient: true,
          onTrouble: this.tell,
        });
        this.#publishers.set(meter, publisher);
      }),
    );
  }

  #listen(sessions: ReadonlyMap<string, ServiceSession>): void {
    for (const [household, session] of sessions) {
      const feed = new SettlementFeed({
        household,
        session,
        microgrid: this.options.microgrid,
        baseUrl: this.service.httpUrl,
        onTrouble: this.tell,
        onSettlement: (settled) => {
          const before = this.#street!;
          this.#street = learn(before, household, settled);
          if (this.#street !== before) this.#planChanges += 1;
        },
      });
      this.#feeds.push(feed);
      void feed.listen();
    }
  }

  async #step(): Promise<void> {
    this.#street = stepStreet(this.#street!, this.households);
    await writeStreetState(this.options.dataDir, this.#street);
    await this.#publish();
  }

  async #publish(): Promise<void> {
    const messages = messagesOf(this.#street!, this.households);
    const acknowledged = Promise.all(
      messages.map(({ meter, ...message }) => this.#publishers.get(meter)!.publishAll([message])),
    );
    await this.patience.unlessAborted(acknowledged);
    this.#readings += messages.length;
  }

  async #moveClock(to: number): Promise<void> {
    this.#clock = to;
    if (!this.#simulated) return;
    const closedThrough = await this.patience.until(() => setClock(this.#simulator!, to));
    await this.patience.until(async () => this.#program?.runHours(closedThrough));
  }

  /** Market milliseconds a real millisecond. */
  #rate(): number {
    return this.#simulated ? SLOT_MILLIS / (this.options.secondsPerSlot * 1_000) : 1;
  }

  #tickMillis(): number {
    return Math.max(Math.round((TICK_MILLIS * this.#rate()) / 1_000) * 1_000, 1_000);
  }
}

export interface StreetCounts {
  microgrid: string;
  seed: string;
  households: number;
  /** Market time at the first and the last moment of the run; null if it never came so far. */
  from: string | null;
  until: string | null;
  readings: number;
  settlements: number;
  planChanges: number;
  reconnects: number;
}

/** How far the simulated clock moves at once, in real time. */
const TICK_MILLIS = 1_000;
const SLOT_MILLIS = 15 * 60_000;

const MICROGRID = z.object({
  now: z.string(),
  clock: z.enum(['system', 'simulated']),
  closedThrough: z.string().nullable(),
});
