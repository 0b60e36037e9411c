import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Logger } from '@nestjs/common';
import type { Sql } from '../src/database/database.service.js';
import { withDatabase, type BenchDatabase } from './database.js';
import { measureBursts } from './ingest-burst.js';
import { meterOf, microgridOf } from './ingest-plan.js';
import { enrol, Meters, Stage, type Outcome, type Run, type Transport } from './ingest-stage.js';
import { median, quantile } from './measure.js';
import { isMosquittoInstalled } from './mosquitto.js';
import { barePipe, servicePipe, type Pipe } from './pipes.js';
import { present, progress, type Limit, type Report, type Table } from './report.js';

/**
 * Readings from publish (QoS 1) to durable commit, through the embedded broker and through Mosquitto,
 * beside the bare pipe: the same meters in a process of their own, the same broker, and one batched
 * insert. Flat out for the rate, at half of it for the time that a reading takes, for long for the
 * memory, and all of a district at once.
 */

const LEAST_RATIO = 0.6;
const MOST_GROWTH_MB = 32;
const MOST_QUARTER_SECONDS = 450;

const COUNTS = { readings: 1_000_000, microgrids: 100, rounds: 5 };

const HELP = `npm run bench -- ingest [--readings ${COUNTS.readings}] [--microgrids ${COUNTS.microgrids}] [--rounds ${COUNTS.rounds}] [--json]

Durable readings a second, publish (QoS 1) to commit, with single messages and with arrays of 100,
through the embedded broker and, where it is installed, Mosquitto, as a ratio to the bare pipe: the
same meters and broker, one batched insert, nothing else; the median of --rounds pairs of runs. Then
p50 and p99 from publish to commit at half that rate; the memory while --readings are taken in, each
tenth of them into emptied tables, which bounds what is on the disk; and a
quarter-hour of --microgrids with 1,000 meters and 10 gateways each: taken in, and all slots closed.
Limits: at least ${LEAST_RATIO} of the bare pipe; the heap grows by at most ${MOST_GROWTH_MB} MB; a quarter-hour is
taken in and settled within ${MOST_QUARTER_SECONDS} s. A count of 0 leaves its part out.
`;

const STREET = { microgrids: 1, metersEach: 1_000, gatewaysEach: 40 };
const DISTRICT = { metersEach: 1_000, gatewaysEach: 10 };
const FLAT_OUT_MILLIS = 3_000;
/** Pairs before those that count: a service runs for months, its code is compiled in the first seconds. */
const WARM_UP = 2;
const STEADY_MILLIS = 2_000;
/** By readings a message: how many may be unacknowledged on one connection, and how many go out in all. */
const FLAT_OUT = { 1: { window: 40, most: 120_000 }, 100: { window: 4, most: 4_500 } } as const;
const SAMPLES = 10;

async function measure(counts: Readonly<Record<string, number>>): Promise<Report> {
  Logger.overrideLogger(['error', 'fatal']);
  const { readings, microgrids, rounds } = counts as typeof COUNTS;
  const withMosquitto = isMosquittoInstalled();
  const transports: Transport[] = withMosquitto ? ['embedded', 'Mosquitto'] : ['embedded'];
  const report = await withDatabase(async (bench) => {
    // Within the days in which a reading is still taken, and in the past however many are published.
    const startsMillis = Math.floor(Date.now() / DAY_MILLIS - 10) * DAY_MILLIS;
    const gateways = await enrol(bench.database, STREET, startsMillis);
    await closeSlot(bench.database, startsMillis);
    const meters = new Meters();
    try {
      const stage = new Stage(bench, meters, STREET, gateways, startsMillis);
      const pipes = { service: servicePipe(bench), bare: await barePipe(bench) };
      const parts: Part[] = [];
      if (rounds > 0) parts.push(await measureRates(stage, pipes, transports, rounds));
      if (readings > 0) parts.push(await measureMemory(stage, pipes.service, transports, readings));
      return combined(parts, bench);
    } finally {
      meters.stop();
    }
  });
  if (microgrids > 0) {
    const bursts = await measureQuarters(transports, microgrids);
    report.tables.push(...bursts.tables);
    report.limits.push(...bursts.limits);
  }
  if (!withMosquitto) report.notes.push('Mosquitto is not installed: left out.');
  return report;
}

type Part = Pick<Report, 'tables' | 'limits'>;

async function measureRates(
  stage: Stage,
  pipes: { service: Pipe; bare: Pipe },
  transports: readonly Transport[],
  rounds: number,
): Promise<Part> {
  const table: Table = { title: 'Durable readings, publish to commit', rows: [] };
  const limits: Limit[] = [];
  for (const transport of transports) {
    for (const readingsAMessage of [1, 100] as const) {
      const what = readingsAMessage === 1 ? 'single messages' : 'arrays of 100';
      progress(`${transport}, ${what}`);
      const flatOut = { transport, readingsAMessage, ...FLAT_OUT[readingsAMessage] };
      const run = { ...flatOut, millis: FLAT_OUT_MILLIS, pace: null };
      const pairs = await measurePairs(stage, pipes, run, rounds);
      const [service, bare] = [pairs.map((pair) => pair.service), pairs.map((pair) => pair.bare)];
      const rate = median(service.map(({ readingsASecond }) => readingsASecond));
      const ratio = median(
        pairs.map((pair) => pair.service.readingsASecond / pair.bare.readingsASecond),
      );
      const pace = rate / readingsAMessage / 2;
      const steady = await stage.run({ ...run, pipe: pipes.service, millis: STEADY_MILLIS, pace });
      table.rows.push({
        broker: transport,
        messages: what,
        'readings/s': rate,
        'bare pipe/s': median(bare.map(({ readingsASecond }) => readingsASecond)),
        ratio,
        'processor µs a reading': median(service.map(({ processorMicros }) => processorMicros)),
        'bare µs': median(bare.map(({ processorMicros }) => processorMicros)),
        'at half: p50 ms': quantile(steady.commitMillis, 0.5),
        'p99 ms': quantile(steady.commitMillis, 0.99),
        'meter hears p99 ms': quantile(steady.acknowledgeMillis, 0.99),
      });
      limits.push({ what: `${transport}, ${what}: ratio`, measured: ratio, least: LEAST_RATIO });
    }
  }
  return { tables: [table], limits };
}

/** Neighbors in time, and each goes first in turn: the machine is nobody's alone. */
async function measurePairs(
  stage: Stage,
  pipes: { service: Pipe; bare: Pipe },
  run: Omit<Run, 'pipe'>,
  rounds: number,
): Promise<{ service: Outcome; bare: Outcome }[]> {
  const pairs: { service: Outcome; bare: Outcome }[] = [];
  for (let round = 0; round < WARM_UP + rounds; round += 1) {
    const pair = {} as { service: Outcome; bare: Outcome };
    for (const name of round % 2 === 0
      ? (['bare', 'service'] as const)
      : (['service', 'bare'] as const)) {
      await stage.clear(pipes[name]);
      pair[name] = await stage.run({ ...run, pipe: pipes[name] });
    }
    if (round >= WARM_UP) pairs.push(pair);
  }
  return pairs;
}

/** The tables are emptied after every tenth part, so that the disk holds no more than that of them. */
async function measureMemory(
  stage: Stage,
  pipe: Pipe,
  transports: readonly Transport[],
  readings: number,
): Promise<Part> {
  const table: Table = { title: 'Memory of the service, garbage collected', rows: [] };
  const limits: Limit[] = [];
  for (const transport of transports) {
    progress(`${transport}, memory over ${readings.toLocaleString('en-US')} readings`);
    const heaps: number[] = [];
    let taken = 0;
    for (let sample = 1; sample <= SAMPLES; sample += 1) {
      await stage.clear(pipe);
      const outcome = await stage.run({
        transport,
        pipe,
        readingsAMessage: 100,
        window: FLAT_OUT[100].window,
        most: Math.ceil(readings / SAMPLES / 100),
        millis: 3_600_000,
        pace: null,
      });
      taken += outcome.readings;
      const { heapMB, residentMB } = memory();
      heaps.push(heapMB);
      table.rows.push({
        broker: transport,
        'readings taken in': taken,
        'heap MB': heapMB,
        'resident MB': residentMB,
        'readings/s': outcome.readingsASecond,
      });
    }
    const measured = heaps.at(-1)! - heaps[0]!;
    limits.push({ what: `${transport}: heap growth in MB`, measured, most: MOST_GROWTH_MB });
  }
  return { tables: [table], limits };
}

async function measureQuarters(
  transports: readonly Transport[],
  microgrids: number,
): Promise<Part> {
  const street = { microgrids, ...DISTRICT };
  const bursts = await measureBursts(transports, street);
  const [meters, gateways] = [street.metersEach, street.gatewaysEach].map((each) =>
    (each * microgrids).toLocaleString('en-US'),
  );
  const title = `A quarter-hour of ${microgrids} microgrids: ${meters} meters behind ${gateways} gateways, an array each`;
  const rows = bursts.map(({ transport, readings, takenInSeconds, closedSeconds }) => ({
    broker: transport,
    readings,
    'taken in, s': takenInSeconds,
    'readings/s': readings / takenInSeconds,
    'all slots closed, s': closedSeconds,
    'a slot, s': closedSeconds / microgrids,
  }));
  const limits = bursts.map(({ transport, takenInSeconds, closedSeconds }) => ({
    what: `${transport}: seconds of a quarter-hour`,
    measured: takenInSeconds + closedSeconds,
    most: MOST_QUARTER_SECONDS,
  }));
  return { tables: [{ title, rows }], limits };
}

function combined(parts: readonly Part[], { durability }: BenchDatabase): Report {
  return {
    tables: parts.flatMap(({ tables }) => tables),
    limits: parts.flatMap(({ limits }) => limits),
    notes: [
      `${durability}. ${STREET.gatewaysEach} gateways speak for ${STREET.metersEach} meters, from another process.`,
      'With the embedded broker a meter hears of the commit; Mosquitto answers it before.',
    ],
  };
}

/** The slot before all readings, so that each is held against a border, as in a microgrid that runs. */
async function closeSlot(sql: Sql, startsMillis: number): Promise<void> {
  await sql.query(
    `INSERT INTO measurement (microgrid_id, slot_start, household_id, sequence, import_wh, export_wh,
       generated_wh, charged_wh, discharged_wh, consumption_wh, unexplained_wh, quality)
     VALUES ($1, $2::timestamptz - interval '15 minutes', $3, 1, 0, 0, 0, 0, 0, 0, 0, 'measured')`,
    [microgridOf(0), new Date(startsMillis).toISOString(), `h-${meterOf(0)}`],
  );
}

/** What is still held after all that can go has gone. */
function memory(): { heapMB: number; residentMB: number } {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapMB: (heapUsed + external) / 2 ** 20, residentMB: rss / 2 ** 20 };
}

const DAY_MILLIS = 86_400_000;

await present('ingest', HELP, measure, COUNTS);
