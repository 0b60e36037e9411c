import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomFrom } from '../../simulator/random.js';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { hasProgram } from '../support/require.js';
import { Observer } from './observer.js';
import {
  buildProgram,
  optionsOf,
  RunningService,
  startProgram,
  tempFolder,
  until,
  verdictOn,
} from './program.js';
import { dayOf, stepAt, Stream, type Message, type Step } from './stream.js';
import { DatabaseServer, OpenMosquitto } from './victims.js';

/**
 * Processes end at any moment, as when the power fails: what was acknowledged is there, nothing is
 * there twice, and in the end the books are those of a day without any trouble.
 */

/** Through each of the two brokers. */
const KILLS = Number(process.env['CRASH_KILLS'] ?? 8);
const STEPS = 48;
/** After so many slots, who is killed. */
const DEATHS_IN_THE_STREET = [
  [2, 'service'],
  [4, 'database'],
] as const;
const SEED = process.env['CRASH_SEED'] ?? String(Date.now());

const itWithMosquitto = hasProgram('mosquitto') ? it : it.skip;

type Victim = 'service' | 'database' | 'broker' | 'power';

let folder: Awaited<ReturnType<typeof tempFolder>>;
let service: RunningService;
let database: DatabaseServer;
let mosquitto: OpenMosquitto | undefined;
let stream: Stream;
let observer: Observer;
/** Kills and starts that a stream has brought about. */
let underway: Promise<void> = Promise.resolve();

beforeAll(buildProgram, 120_000);

beforeEach(async () => {
  process.stderr.write(
    `CRASH_SEED=${SEED} CRASH_KILLS=${KILLS} # ${expect.getState().currentTestName}\n`,
  );
  folder = await tempFolder();
  mosquitto = undefined;
  await prepare({ MQTT_PORT: String(await freePort()) });
});

async function prepare(broker: Record<string, string>): Promise<void> {
  service = new RunningService(join(folder.path, 'data'), {
    MARKET_CLOCK: 'simulated',
    HTTP_PORT: String(await freePort()),
    BOOTSTRAP_LOGINS: join(folder.path, 'logins.json'),
    // A service that is killed often is quick to hear of it.
    LOG_LEVEL: 'fatal',
    ...broker,
  });
  database = new DatabaseServer(service.dataDir);
  stream = new Stream();
  observer = new Observer(service.dataDir);
}

afterEach(async () => {
  await underway.catch(() => undefined);
  underway = Promise.resolve();
  await stream.close();
  await observer.close();
  await service.kill();
  await mosquitto?.kill();
  await folder.remove();
});

describe('a day of readings', () => {
  const day = dayOf(SEED, STEPS);
  const everything = day.flatMap(({ late, onTime }) => [...late, ...onTime]);
  let calm: Books;

  it('without any trouble settles every slot', async () => {
    await stream.enrol(await service.start(), service.env['BOOTSTRAP_LOGINS']!);
    await stream.play(day);
    calm = await books();
    expect(calm.slots).toEqual(Array.from({ length: STEPS / 3 }, () => 'closed'));
    expect(calm.rejections).toEqual([]);
    // The silent meters of this day were estimated and put right.
    expect(calm.corrections).toBeGreaterThan(0);
    expect(await totals()).toEqual(totalsOf(day));
    expect(await verdict()).toEqual({ ok: true });
  }, 60_000);

  it(`is the same when service and database are killed at ${KILLS} moments of it`, async () => {
    await stream.enrol(await service.start(), service.env['BOOTSTRAP_LOGINS']!);
    const acknowledged = await playAmong(day, ['service', 'service', 'database', 'power'], (told) =>
      observer.expectKept(told),
    );
    expect(acknowledged.size).toBe(everything.length);
    await observer.expectKept([...acknowledged]);
    const killed = await books();
    expect(killed.readings).toEqual(calm.readings);
    expect(killed).toEqual(calm);
    expect(await verdict()).toEqual({ ok: true });
  }, 900_000);

  itWithMosquitto(
    `comes to the same energy when Mosquitto is killed too, at ${KILLS} moments`,
    async () => {
      mosquitto = new OpenMosquitto(folder.path, await freePort());
      await mosquitto.start();
      await prepare({ MQTT_URL: `mqtt://127.0.0.1:${mosquitto.port}` });
      const { httpPort } = await service.start();
      const where = { httpPort, mqttPort: mosquitto.port };
      await stream.enrol(where, service.env['BOOTSTRAP_LOGINS']!);
      // What Mosquitto answered and had neither handed on nor written down goes with it: no more.
      const lost = new Set<Message>();
      const kept = new Set<Message>();
      const acknowledged = await playAmong(
        day,
        ['broker', 'broker', 'service', 'database', 'power'],
        async (told, victim) => {
          const missing = new Set(await observer.missing(told));
          // What was committed once is not taken back.
          expect([...missing].filter((message) => kept.has(message))).toEqual([]);
          for (const message of told) if (!missing.has(message)) kept.add(message);
          if (victim === 'broker' || victim === 'power') for (const one of missing) lost.add(one);
        },
      );
      expect(acknowledged.size).toBe(everything.length);
      const handedOn = everything.filter((message) => !lost.has(message));
      await until('what Mosquitto has is taken in', async () => {
        return (await observer.missing(handedOn)).length === 0;
      });
      // Late readings are looked at before the next slot closes.
      await stream.moveClock(formatInstant(parseInstant(stepAt(STEPS + 3)) + 301_000));
      expect(await totals()).toEqual(totalsOf(day));
      expect(await observer.rejections()).toEqual([]);
      expect(await verdict()).toEqual({ ok: true });
    },
    900_000,
  );
});

describe('a running street', () => {
  it('goes on where it was when the service or its database is killed', async () => {
    await service.start();
    const simulate = startProgram(
      [
        'dist/simulator/simulate.js',
        ...optionsOf({
          households: '5',
          seed: SEED,
          'seconds-per-slot': '0',
          'operator-logins': service.env['BOOTSTRAP_LOGINS']!,
          until: '2026-06-01T11:30:00Z',
          json: true,
        }),
      ],
      { DATA_DIR: service.dataDir },
    );
    const random = randomFrom(`${SEED}/street`);
    for (const [closed, victim] of DEATHS_IN_THE_STREET) {
      await until(
        `${closed} slots are closed`,
        async () => (await observer.closedSlots()) >= closed,
        60_000,
      );
      await sleep(random.between(0, 200));
      if (victim === 'database') {
        await database.kill();
      } else {
        await service.kill();
        await service.start();
      }
    }
    const { code, stdout, stderr } = await simulate.ended;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const summary = JSON.parse(stdout) as { readings: number; until: string };
    expect(summary.until).toBe('2026-06-01T11:30:01Z');
    expect(await observer.closedSlots()).toBe(6);
    // One row of every meter for every step, however often it was sent.
    const [told] = await observer.query<{ readings: number }>(
      `SELECT count(DISTINCT (meter_id, read_at))::int AS readings FROM reading`,
    );
    expect(told!.readings).toBe(summary.readings);
    expect(await observer.rejections()).toEqual([]);
    expect(await verdict()).toEqual({ ok: true });
  }, 180_000);
});

/** What a day comes to; the same for the same readings, whatever happened meanwhile. */
interface Books {
  journalSha256: string;
  records: number;
  corrections: number;
  slots: string[];
  balances: unknown[];
  readings: unknown[];
  rejections: unknown[];
}

async function books(): Promise<Books> {
  const { ledger } = await stream.summary();
  return {
    journalSha256: ledger.journalSha256,
    records: ledger.records,
    corrections: (await observer.query(`SELECT FROM record_head WHERE kind = 'correction'`)).length,
    slots: (await observer.query<{ status: string }>(`SELECT status FROM slot`)).map(
      ({ status }) => status,
    ),
    balances: await observer.query(`
      SELECT account_id, asset, debits_pending, credits_pending, debits_posted, credits_posted
      FROM account ORDER BY account_id`),
    readings: await observer.query(`
      SELECT meter_id, register, read_at, value_wh FROM reading ORDER BY 1, 2, 3`),
    rejections: await observer.rejections(),
  };
}

const verdict = (): Promise<{ ok: boolean }> => verdictOn(service.dataDir);

/** The energy of each household's grid meter over the day, as settled. */
async function totals(): Promise<unknown[]> {
  return observer.query(
    `SELECT household_id AS household, sum(import_wh)::int AS "importWh",
       sum(export_wh)::int AS "exportWh"
     FROM (
       SELECT DISTINCT ON (slot_start, household_id) * FROM measurement
       WHERE slot_start < $1 ORDER BY slot_start, household_id, revision DESC
     ) latest
     GROUP BY household_id ORDER BY household_id`,
    [stepAt(STEPS)],
  );
}

/** The same from the registers alone: what they showed at the end less what they showed at the start. */
function totalsOf(day: readonly Step[]): unknown[] {
  const last = new Map(day.at(-1)!.onTime.map((message) => [message.meter, message]));
  return day[0]!.onTime
    .filter(({ meter }) => meter.endsWith('-grid'))
    .map(({ meter, importWh, exportWh }) => ({
      household: meter.replace('-grid', ''),
      importWh: last.get(meter)!.importWh - importWh,
      exportWh: last.get(meter)!.exportWh - exportWh,
    }));
}

/**
 * Plays the day and kills one of the victims at each of `KILLS` moments, waits until it is back, and
 * has looked at what was acknowledged before.
 * @returns what was acknowledged
 */
async function playAmong(
  day: readonly Step[],
  victims: readonly Victim[],
  look: (told: readonly Message[], victim: Victim) => Promise<void>,
): Promise<Set<Message>> {
  const moments = momentsOf(day, victims);
  const acknowledged = new Set<Message>();
  let kills = 0;
  let giveUp: (why: unknown) => void;
  // Who is not brought back would be waited for in vain.
  const broken = new Promise<never>((_, reject) => (giveUp = reject));
  const playing = stream.play(day, (step, messages) => {
    for (const message of messages) acknowledged.add(message);
    const next = moments[0];
    if (!next || next.step > step) return;
    if (next.step === step && next.acknowledged > messages.length) return;
    moments.shift();
    // One after the other: the broker answers before the service has said that it is ready.
    underway = underway.then(async () => {
      await sleep(next.delayMillis);
      const told = [...acknowledged];
      await strike(next.victim);
      kills += 1;
      await observer.isBack();
      await look(told, next.victim);
    });
    underway.catch(giveUp);
  });
  await Promise.race([playing, broken]);
  await underway;
  expect(kills).toBe(KILLS);
  return acknowledged;
}

/** Kills, and starts again what nobody else does. */
async function strike(victim: Victim): Promise<void> {
  if (victim === 'database' || victim === 'power') await database.kill();
  if (victim === 'broker' || victim === 'power') await mosquitto?.kill();
  if (victim === 'service' || victim === 'power') await service.kill();
  if (victim === 'broker' || victim === 'power') await mosquitto?.start();
  if (victim === 'service' || victim === 'power') await service.start();
}

interface Moment {
  step: number;
  acknowledged: number;
  delayMillis: number;
  victim: Victim;
}

/** When to kill whom: in these steps, once so much of one is acknowledged, a moment later. */
function momentsOf(day: readonly Step[], victims: readonly Victim[]): Moment[] {
  const random = randomFrom(`${SEED}/moments/${victims.join()}`);
  // The first and the last readings stand: with them the registers tell what the day came to.
  return Array.from({ length: KILLS }, () => random.between(2, day.length - 4))
    .sort((a, b) => a - b)
    .map((step) => ({
      step,
      // 0: while the clock is moved, and slots close.
      acknowledged:
        random.between(0, 2) === 0 ? 0 : random.between(1, day[step]!.onTime.length - 1),
      delayMillis: random.between(0, 25),
      victim: victims[random.between(0, victims.length - 1)]!,
    }));
}
