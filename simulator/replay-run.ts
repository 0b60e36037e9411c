import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { formatInstant, slotStartOf, type SlotMinutes } from '../src/units/slot.js';
import type { MeasuredStreet } from './measured-street.js';
import { ServiceSession } from './http.client.js';
import { setClock } from './join-street.js';
import {
  firstMeasured,
  generationMeterOf,
  gridMeterOf,
  readingSteps,
  withChaos,
  type ReadingStep,
} from './measured-day.js';
import { ReadingPublisher } from './mqtt.client.js';
import type { ReplayOptions } from './replay-options.js';
import type { ServiceAddresses } from './service.process.js';
import { readBootstrapLogins } from './street.store.js';

/**
 * One measured street through a running service: enrolment, then step by step the clock to T, all
 * readings of T, and on only when every one of them is acknowledged.
 */
export class ReplayRun {
  readonly slots: number;
  /** Each counted once, however often chaos sends it. */
  readings = 0;
  readonly #startsAt: number;
  readonly #endsAt: number;
  #publisher: ReadingPublisher | null = null;
  #operator: ServiceSession | null = null;

  constructor(
    private readonly options: ReplayOptions,
    private readonly street: MeasuredStreet,
    private readonly slotMinutes: SlotMinutes,
    private readonly addresses: ServiceAddresses,
    private readonly loginsFile: string,
  ) {
    const slotMillis = slotMinutes * 60_000;
    const dataEndsAt = street.startsAt + street.intervals * street.stepMinutes * 60_000;
    this.#startsAt = slotStartOf(street.startsAt, slotMinutes);
    this.#endsAt = slotStartOf(dataEndsAt + slotMillis - 1, slotMinutes);
    this.slots = (this.#endsAt - this.#startsAt) / slotMillis;
  }

  /** @param onStep told after every step how many of how many are done */
  async play(onStep: (done: number, total: number) => void): Promise<void> {
    const { operator, simulator } = await this.#logIn();
    this.#operator = operator;
    // The clock first: enrolments carry market time, and the same replay must write the same records.
    await setClock(simulator, this.#startsAt);
    this.#publisher = await this.#enrol(operator);
    let done = 0;
    for (const step of readingSteps(this.street)) {
      await setClock(simulator, step.at);
      await this.#publisher.publishAll(this.#messagesOf(step), ACKNOWLEDGED_WITHIN_MILLIS);
      this.readings += step.readings.length;
      done += 1;
      onStep(done, this.street.intervals + 1);
    }
    // Beyond the grace, so that the last slot closes whatever was read.
    await setClock(simulator, this.#endsAt + (GRACE_SECONDS + 1) * 1_000);
  }

  /** What the service says came of it. */
  async summary(): Promise<ReplaySummary> {
    if (!this.#operator) throw new Error('nothing was replayed yet');
    const { microgrid } = this.options;
    const path = `/v1/operator/microgrids/${microgrid}`;
    const slots = await this.#all(`/v1/microgrids/${microgrid}/slots`, SLOT);
    return {
      ...SUMMARY.parse(await this.#operator.request('GET', `${path}/summary`)),
      homes: await this.#all(`${path}/bills`, BILL),
      prices: slots.flatMap(({ clearingPriceMicroPerKwh: priceMicroPerKwh, tradedWh }) =>
        priceMicroPerKwh === null || tradedWh === 0 ? [] : [{ priceMicroPerKwh, tradedWh }],
      ),
    };
  }

  async close(): Promise<void> {
    await this.#publisher?.close();
  }

  async #logIn(): Promise<{ operator: ServiceSession; simulator: ServiceSession }> {
    const baseUrl = () => `http://127.0.0.1:${this.addresses.httpPort}`;
    for (let attempt = 1; ; attempt += 1) {
      const logins = await readBootstrapLogins(this.loginsFile);
      if (logins) {
        return {
          operator: new ServiceSession(baseUrl, logins.operator),
          simulator: new ServiceSession(baseUrl, logins.simulator),
        };
      }
      if (attempt === 100) throw new Error('the service wrote no log-ins for BOOTSTRAP_LOGINS');
      await sleep(50);
    }
  }

  /** Every household with a grid and a generation meter, all under one gateway. */
  async #enrol(operator: ServiceSession): Promise<ReadingPublisher> {
    const { microgrid, retailMicroPerKwh, feedInMicroPerKwh } = this.options;
    await operator.request('POST', '/v1/operator/microgrids', {
      microgrid,
      name: 'Replay of measured data',
      currency: this.options.currency,
      slotMinutes: this.slotMinutes,
      mechanism: this.options.mechanism,
      pricing: this.options.pricing,
      gateClosureSeconds: this.options.gateClosureSeconds,
      graceSeconds: GRACE_SECONDS,
      creditLimitMicro: CREDIT_LIMIT_MICRO,
      startsAt: formatInstant(this.#startsAt),
      tariff: { bands: [{ fromMinute: 0, retailMicroPerKwh, feedInMicroPerKwh }] },
    });
    const gateway = `${microgrid}-gateway`.slice(-64);
    const members = this.street.households.map((household) => ({
      household: household.household,
      creditLimitMicro: CREDIT_LIMIT_MICRO,
      activeFrom: formatInstant(this.#activeFrom(firstMeasured(household))),
      gateway,
      meters: [
        { meter: gridMeterOf(household.household), role: 'grid' },
        { meter: generationMeterOf(household.household), role: 'generation' },
      ],
    }));
    const { items } = ENROLLED.parse(
      await operator.request('POST', `/v1/operator/microgrids/${microgrid}/members`, {
        gateways: [{ gateway }],
        members,
      }),
    );
    const secret = items.find((item) => item.username === gateway)?.secret;
    if (secret === undefined) throw new Error(`the service gave no secret for ${gateway}`);
    await this.#switchOnAutopilots(operator);
    return ReadingPublisher.connect({
      url: () => `mqtt://127.0.0.1:${this.addresses.mqttPort ?? 1883}`,
      username: gateway,
      password: secret,
      connections: CONNECTIONS,
      patient: false,
    });
  }

  async #switchOnAutopilots(operator: ServiceSession): Promise<void> {
    const { strategy } = this.options;
    if (strategy === null) return;
    for (const { household } of this.street.households) {
      await operator.request('PUT', `/v1/households/${household}/strategy`, { strategy });
    }
  }

  /** Every item of a list, page by page. */
  async #all<Item>(path: string, item: z.ZodType<Item>): Promise<Item[]> {
    const page = z.object({ items: z.array(item), next: z.string().nullable() });
    const items: Item[] = [];
    for (let next: string | null = null; ;) {
      const after: string = next === null ? '' : `&after=${encodeURIComponent(next)}`;
      const answer = page.parse(await this.#operator!.request('GET', `${path}?limit=1000${after}`));
      items.push(...answer.items);
      next = answer.next;
      if (next === null) return items;
    }
  }

  /** A household takes part from the slot of its first measured interval. */
  #activeFrom(interval: number): number {
    const at = this.street.startsAt + interval * this.street.stepMinutes * 60_000;
    return slotStartOf(at, this.slotMinutes);
  }

  #messagesOf(step: ReadingStep): { topic: string; payload: string }[] {
    const { microgrid, chaos } = this.options;
    const readAt = formatInstant(step.at);
    const messages = step.readings.map(({ meter, importWh, exportWh }) => ({
      topic: `microgrids/${microgrid}/meters/${meter}/readings`,
      payload: JSON.stringify({ readAt, importWh, exportWh }),
    }));
    return withChaos(messages, chaos, `${microgrid}/${readAt}`);
  }
}

export type ReplaySummary = z.output<typeof SUMMARY> & {
  homes: z.output<typeof BILL>[];
  /** Of each slot in which something was traded. */
  prices: { priceMicroPerKwh: number; tradedWh: number }[];
};

const BILL = z.object({
  household: z.string(),
  costMicro: z.int(),
  tariffCostMicro: z.int(),
  withGridWh: z.int(),
});

const SLOT = z.object({ clearingPriceMicroPerKwh: z.int().nullable(), tradedWh: z.int() });

const SUMMARY = z.object({
  energy: z.object({
    productionMintedWh: z.int(),
    consumptionMintedWh: z.int(),
    selfClaimedWh: z.int(),
    neighborClaimedWh: z.int(),
    toGridWh: z.int(),
    fromGridWh: z.int(),
    unexplainedWh: z.int(),
  }),
  market: z.object({ orders: z.int(), trades: z.int(), tradedWh: z.int() }),
  money: z.object({
    currency: z.string(),
    householdsCostMicro: z.int(),
    tariffCostMicro: z.int(),
    savedMicro: z.int(),
  }),
  ledger: z.object({
    records: z.int(),
    transfers: z.int(),
    sequence: z.int(),
    journalSha256: z.string(),
    checkpointSize: z.int(),
  }),
});

const ENROLLED = z.object({
  items: z.array(z.object({ username: z.string(), secret: z.string() })),
});

const CONNECTIONS = 4;
const GRACE_SECONDS = 300;
const ACKNOWLEDGED_WITHIN_MILLIS = 60_000;
/** A million units of the currency: no wallet binds. */
const CREDIT_LIMIT_MICRO = 1_000_000_000_000;
