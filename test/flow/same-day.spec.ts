import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomFrom, shuffled, type Random } from '../../simulator/random.js';
import type { Instant } from '../../src/units/slot.js';
import { hasProgram } from '../support/require.js';
import { buildProgram, verdictOn } from './program.js';
import {
  atHour,
  borderAt,
  ordersOf,
  readingsOf,
  SLOTS,
  streetFlows,
  streetOf,
  type StreetFlows,
} from './street-day.js';
import { StreetHost, type Balances, type PlayedStreet } from './street-host.js';
import type { Message, Step } from './stream.js';

/**
 * The same day of readings comes to the same balances however it reaches the service: in order,
 * shuffled, doubled, a day late of some meters, and across restarts of service, broker and database.
 */

const SEED = process.env['DAY_SEED'] ?? String(Date.now());
const MECHANISMS = ['metered', 'call-auction'] as const;
type Mechanism = (typeof MECHANISMS)[number];

const DAY = '2026-06-02T00:00:00Z';
/** Those that are a day late are founded a day earlier, and all end at the same instant. */
const DAY_BEFORE = '2026-06-01T00:00:00Z';
/** With the slot whose close looks at what came last. */
const ENDS_AT = borderAt(DAY, SLOTS + 1);
const LATE_METERS_PERCENT = 5;

/** How the messages of the day arrive: in which steps, each behind a move of the clock. */
const ARRIVALS: Record<string, { startsAt: Instant; corrects: boolean; steps: Arrive }> = {
  'in-order': { startsAt: DAY, corrects: false, steps: inOrder },
  shuffled: { startsAt: DAY, corrects: true, steps: inAnyOrder },
  doubled: { startsAt: DAY, corrects: false, steps: twice },
  delayed: { startsAt: DAY_BEFORE, corrects: true, steps: aDayLate },
};

type Readings = readonly (readonly Message[])[];
type Arrive = (readings: Readings, startsAt: Instant, random: Random) => Step[];

let flows: StreetFlows;
let calm: StreetHost | undefined;
let troubled: StreetHost | undefined;
/** By mechanism, after a day in order. */
const inOrderBalances = new Map<Mechanism, Balances>();

beforeAll(async () => {
  process.stderr.write(`DAY_SEED=${SEED}\n`);
  await buildProgram();
  flows = await streetFlows(SEED);
}, 120_000);

afterAll(async () => {
  await calm?.close();
  await troubled?.close();
});

describe('a day of nine homes and twenty meters', () => {
  it('is settled in whatever order its readings arrive', async () => {
    calm = await StreetHost.start('embedded');
    await calm.play(
      Object.entries(ARRIVALS).flatMap(([arrival, { startsAt, steps }]) =>
        MECHANISMS.map((mechanism) => played(arrival, mechanism, startsAt, steps)),
      ),
    );
    expect(await verdictOn(calm.dataDir)).toEqual({ ok: true });
  }, 300_000);

  it.each(MECHANISMS)('in order under %s moves energy, money and charge', async (mechanism) => {
    const balances = await calm!.balances(`in-order-${mechanism}`);
    inOrderBalances.set(mechanism, balances);
    const moved = Object.keys(balances).filter((account) => balances[account]!.balance !== 0);
    const purposes = new Set(moved.map((account) => account.split('/').at(-1)));
    expect([...purposes]).toEqual(expect.arrayContaining(['bill', 'storage', 'wallet']));
  });

  it.each(
    Object.entries(ARRIVALS).flatMap(([arrival, { corrects }]) =>
      MECHANISMS.map((mechanism) => ({ arrival, mechanism, corrects })),
    ),
  )('$arrival under $mechanism ends with the same balances', async (row) => {
    const { arrival, mechanism, corrects } = row;
    const found = await calm!.balances(`${arrival}-${mechanism}`);
    const expected = inOrderBalances.get(mechanism)!;
    const slots = await calm!.slots(`${arrival}-${mechanism}`);
    expect(slots).toMatchObject({ ends: ['closed'], refused: 0 });
    expect(slots.corrected > 0).toBe(corrects);
    if (corrects) expect(moneyTogether(found)).toEqual(moneyTogether(expected));
    else expect(found).toEqual(expected);
    expect(await calm!.gridWh(`${arrival}-${mechanism}`)).toEqual(countedWh());
  });

  it('across restarts of service, broker and database ends with the same balances', async () => {
    const host = await StreetHost.start(hasProgram('mosquitto') ? 'Mosquitto' : 'embedded');
    troubled = host;
    const random = randomFrom(`${SEED}/restarts`);
    const strikes = shuffled(
      [() => host.restartService(), () => host.restartBroker(), () => host.killDatabase()],
      random,
    ).map((strike, index): [Instant, () => Promise<void>] => {
      const hour = random.between(2 + index * 7, 7 + index * 7);
      const delayMillis = random.between(0, 25);
      return [borderAt(DAY, atHour(hour)), () => sleep(delayMillis).then(strike)];
    });
    await host.play(
      MECHANISMS.map((mechanism) => played('restarted', mechanism, DAY, inOrder)),
      new Map(strikes),
    );
    for (const mechanism of MECHANISMS) {
      const name = `restarted-${mechanism}`;
      expect(await host.slots(name)).toMatchObject({ ends: ['closed'], refused: 0 });
      const found = moneyTogether(await host.balances(name));
      expect(found).toEqual(moneyTogether(inOrderBalances.get(mechanism)!));
      expect(await host.gridWh(name)).toEqual(countedWh());
    }
    expect(await verdictOn(host.dataDir)).toEqual({ ok: true });
  }, 300_000);
});

function played(
  arrival: string,
  mechanism: Mechanism,
  startsAt: Instant,
  arrive: Arrive,
): PlayedStreet {
  const name = `${arrival}-${mechanism}`;
  const readings = readingsOf(name, startsAt, flows);
  return {
    street: streetOf(name, startsAt, mechanism),
    orders: mechanism === 'metered' ? [] : ordersOf(name, startsAt, SEED),
    steps: arrive(readings, startsAt, randomFrom(`${SEED}/${name}`)),
  };
}

/**
 * What a household has in its wallet and owes on its bill as one, for corrections move money on bills
 * alone; all else account by account. Not what is stored: a battery is settled with what was known of
 * its past, and what it then lost or could not prove stands.
 */
function moneyTogether(balances: Balances): Balances {
  const sums: Balances = {};
  for (const [account, { asset, balance, pending }] of Object.entries(balances)) {
    if (asset === 'STORAGE') continue;
    const name = account.replace(/\/(wallet|bill)$/, '/money');
    const sum = sums[name] ?? { asset, balance: 0, pending: 0 };
    sums[name] = { asset, balance: sum.balance + balance, pending: sum.pending + pending };
  }
  // An account opens at its first posting, which a detour may have brought about.
  return Object.fromEntries(
    Object.entries(sums).filter(([, { balance, pending }]) => balance !== 0 || pending !== 0),
  );
}

/** The same from the registers alone: what they show after the day, for they begin at zero. */
function countedWh(): Record<string, [importWh: number, exportWh: number]> {
  const last = readingsOf('any', DAY, flows).at(-1)!;
  return Object.fromEntries(
    last
      .filter(({ meter }) => meter.endsWith('-grid'))
      .map(({ meter, importWh, exportWh }) => [
        meter.replace('any-', '').replace('-grid', ''),
        [importWh, exportWh],
      ]),
  );
}

/** Every meter at every border, as it is read; and once more when the day is over. */
function inOrder(readings: Readings, startsAt: Instant): Step[] {
  return [...readings, standing(readings, ENDS_AT)].map((onTime, place) =>
    stepAt(borderAt(startsAt, place), [...onTime]),
  );
}

/** All of the day in any order, in four parts: each brings what is long over and what is to come. */
function inAnyOrder(readings: Readings, startsAt: Instant, random: Random): Step[] {
  const all = shuffled(readings.flat(), random);
  const part = Math.ceil(all.length / 4);
  const parts = [0, 1, 2, 3].map((index) =>
    stepAt(borderAt(startsAt, index * (SLOTS / 4)), all.slice(index * part, (index + 1) * part)),
  );
  return [...parts, stepAt(ENDS_AT, standing(readings, ENDS_AT))];
}

/** Each message a second time, at once or a few slots later. */
function twice(readings: Readings, startsAt: Instant, random: Random): Step[] {
  const steps = inOrder(readings, startsAt);
  for (const [place, messages] of readings.entries()) {
    for (const message of messages) {
      const later = Math.min(place + random.between(0, 4), readings.length);
      steps[later]!.onTime.push(message);
    }
  }
  return steps;
}

/** Of one meter in twenty each message comes a day later; on that day the street stands still. */
function aDayLate(readings: Readings, startsAt: Instant, random: Random): Step[] {
  const meters = [...new Set(readings.flat().map(({ meter }) => meter))];
  const count = Math.ceil((meters.length * LATE_METERS_PERCENT) / 100);
  const late = new Set(shuffled(meters, random).slice(0, count));
  process.stderr.write(`a day late: ${[...late].join(', ')}\n`);
  const isLate = ({ meter }: Message): boolean => late.has(meter);
  const first = readings.map((messages, place) =>
    stepAt(
      borderAt(startsAt, place),
      messages.filter((one) => !isLate(one)),
    ),
  );
  const second = readings.slice(1).map((_, index) => {
    const at = borderAt(startsAt, SLOTS + index + 1);
    const onTime = standing(readings, at);
    return stepAt(at, index + 1 < SLOTS ? onTime.filter((one) => !isLate(one)) : onTime);
  });
  const steps = [...first, ...second, stepAt(ENDS_AT, standing(readings, ENDS_AT))];
  readings.forEach((messages, place) => {
    steps[place + SLOTS]!.late.push(...messages.filter(isLate));
  });
  return steps;
}

function stepAt(at: Instant, onTime: Message[]): Step {
  return { at, late: [], onTime };
}

/** What meters show after the day: what they showed at its end. */
function standing(readings: Readings, readAt: Instant): Message[] {
  return readings.at(-1)!.map((message) => ({ ...message, readAt }));
}
