import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Logger } from '@nestjs/common';
import { BrokerService } from '../src/broker/broker.service.js';
import type { Sql } from '../src/database/database.service.js';
import { issueSecrets } from '../src/parties/device.store.js';
import { withDatabase, type BenchDatabase } from './database.js';
import {
  meterOf,
  MICROGRID,
  nowMillis,
  numberOf,
  STARTS_MILLIS,
  type Published,
  type PublishPlan,
} from './ingest-plan.js';
import { quantile } from './measure.js';
import { isMosquittoInstalled, startMosquitto } from './mosquitto.js';
import { barePipe, servicePipe, type Pipe } from './pipes.js';
import { present, progress, type Limit, type Report, type Table } from './report.js';

/**
 * Readings from publish (QoS 1) to durable commit, through the embedded broker and through Mosquitto,
 * beside the bare pipe: the same meters in a process of their own, the same broker, and one batched
 * insert. Flat out for the rate; at half of it for the time that a reading takes.
 */

const LEAST_RATIO = 0.25;
const MOST_HEAP_GROWTH_MB = 32;

const HELP = `npm run bench -- ingest [--json]

Durable readings a second, publish to commit, with single messages and with arrays of 100, through the
embedded broker and, where it is installed, Mosquitto, as a ratio to the bare pipe (the same meters and
broker, one batched insert, nothing else); p50 and p99 from publish to commit at half that rate;
memory before and after.
Limits: at least ${LEAST_RATIO} of the bare pipe; the heap grows by at most ${MOST_HEAP_GROWTH_MB} MB.
`;

const METERS = 1_000;
const GATEWAYS = 10;
const FLAT_OUT_MILLIS = 1_000;
const STEADY_MILLIS = 1_500;
/** By readings a message: how many may be unacknowledged on one connection, and how many go out in all. */
const FLAT_OUT = { 1: { window: 90, most: 20_000 }, 100: { window: 4, most: 600 } } as const;
const MAX_MESSAGES = 500_000;

type Transport = 'embedded' | 'Mosquitto';

async function measure(): Promise<Report> {
  Logger.overrideLogger(['error', 'fatal']);
  return withDatabase(async (bench) => {
    const gateways = await enrol(bench.database);
    const meters = fork(fileURLToPath(new URL('./ingest-meters.js', import.meta.url)), {
      serialization: 'advanced',
    });
    try {
      const stage = new Stage(bench, meters, gateways);
      return await measureAll(stage, servicePipe(bench), await barePipe(bench), bench);
    } finally {
      meters.kill();
    }
  });
}

async function measureAll(
  stage: Stage,
  service: Pipe,
  bare: Pipe,
  { durability }: BenchDatabase,
): Promise<Report> {
  const withMosquitto = isMosquittoInstalled();
  const transports: Transport[] = withMosquitto ? ['embedded', 'Mosquitto'] : ['embedded'];
  const table: Table = { title: 'Durable readings, publish to commit', rows: [] };
  const limits: Limit[] = [];
  await stage.run({ transport: 'embedded', pipe: service, readingsAMessage: 1, pace: null });
  const before = memory();
  for (const transport of transports) {
    for (const readingsAMessage of [1, 100] as const) {
      const what = readingsAMessage === 1 ? 'single messages' : 'arrays of 100';
      progress(`${transport}, ${what}`);
      const rates = { service: 0, bare: 0 };
      for (const [name, pipe] of [
        ['bare', bare],
        ['service', service],
        ['service', service],
        ['bare', bare],
      ] as const) {
        const { readingsASecond } = await stage.run({
          transport,
          pipe,
          readingsAMessage,
          pace: null,
        });
        rates[name] += readingsASecond / 2;
      }
      const ratio = rates.service / rates.bare;
      const pace = rates.service / readingsAMessage / 2;
      const steady = await stage.run({ transport, pipe: service, readingsAMessage, pace });
      table.rows.push({
        broker: transport,
        messages: what,
        'readings/s': rates.service,
        'bare pipe/s': rates.bare,
        ratio,
        'at half: p50 ms': quantile(steady.commitMillis, 0.5),
        'p99 ms': quantile(steady.commitMillis, 0.99),
        'meter hears p99 ms': quantile(steady.acknowledgeMillis, 0.99),
      });
      limits.push({ what: `${transport}, ${what}: ratio`, measured: ratio, least: LEAST_RATIO });
    }
  }
  const after = memory();
  const heapGrowth = after.heapMB - before.heapMB;
  limits.push({ what: 'heap growth in MB', measured: heapGrowth, most: MOST_HEAP_GROWTH_MB });
  const readings = stage.readings;
  const memoryTable: Table = {
    title: `Memory of the service, garbage collected, ${readings.toLocaleString('en-US')} readings apart`,
    rows: [
      { when: 'before', 'heap MB': before.heapMB, 'resident MB': before.residentMB },
      { when: 'after', 'heap MB': after.heapMB, 'resident MB': after.residentMB },
    ],
  };
  const notes = [
    `${durability}. ${GATEWAYS} gateways speak for ${METERS} meters, from another process.`,
    'With the embedded broker a meter hears of the commit; Mosquitto answers it before.',
    ...(withMosquitto ? [] : ['Mosquitto is not installed: left out.']),
  ];
  return { tables: [table, memoryTable], limits, notes };
}

interface Run {
  transport: Transport;
  pipe: Pipe;
  readingsAMessage: 1 | 100;
  /** Messages a second; null is flat out. */
  pace: number | null;
}

interface Outcome {
  readingsASecond: number;
  /** From publish to commit, by message. */
  commitMillis: number[];
  /** From publish to the meter's acknowledgement, by message. */
  acknowledgeMillis: number[];
}

/** Where runs take place one after another: a broker, the meters, and the clock of commits. */
class Stage {
  readings = 0;
  private readonly committedAt = new Float64Array(MAX_MESSAGES);

  constructor(
    private readonly bench: BenchDatabase,
    private readonly meters: ChildProcess,
    private readonly gateways: PublishPlan['gateways'],
  ) {}

  async run({ transport, pipe, readingsAMessage, pace }: Run): Promise<Outcome> {
    const { owner, settings } = this.bench;
    await owner.transaction(async (sql) => {
      // Readings are insert-only, for the owner too.
      await sql.query('SET LOCAL session_replication_role = replica');
      await sql.query(`TRUNCATE ${pipe.table}, reading_payload`);
    });
    await owner.query('CHECKPOINT');
    const mosquitto = transport === 'Mosquitto' ? await startMosquitto() : null;
    const broker = new BrokerService({ ...settings, mqttUrl: mosquitto?.url });
    let committed = 0;
    try {
      await broker.start({
        ...pipe.options,
        intake: async (message) => {
          await pipe.options.intake(message);
          this.committedAt[numberOf(message.payload)] = nowMillis();
          committed += 1;
        },
      });
      const published = await this.publish({
        url: mosquitto?.url ?? `mqtt://127.0.0.1:${broker.port}`,
        gateways: this.gateways,
        meters: METERS,
        readingsAMessage,
        millis: pace === null ? FLAT_OUT_MILLIS : STEADY_MILLIS,
        ...FLAT_OUT[readingsAMessage],
        messagesASecond: pace,
      });
      const numbers = [...published.sentAt.keys()].filter((at) => published.sentAt[at]! > 0);
      while (committed < numbers.length) await sleep(5);
      await this.checkKept(pipe, numbers.length * readingsAMessage);
      return this.outcome(numbers, published, readingsAMessage);
    } finally {
      await broker.stop();
      await mosquitto?.stop();
    }
  }

  private outcome(
    numbers: readonly number[],
    { sentAt, acknowledgedAt }: Published,
    readingsAMessage: number,
  ): Outcome {
    const first = numbers.reduce((least, at) => Math.min(least, sentAt[at]!), Infinity);
    const last = numbers.reduce((most, at) => Math.max(most, this.committedAt[at]!), 0);
    return {
      readingsASecond: (1_000 * numbers.length * readingsAMessage) / (last - first),
      commitMillis: numbers.map((at) => this.committedAt[at]! - sentAt[at]!),
      acknowledgeMillis: numbers.map((at) => acknowledgedAt[at]! - sentAt[at]!),
    };
  }

  private async publish(plan: PublishPlan): Promise<Published> {
    const settled = new AbortController();
    const { signal } = settled;
    this.meters.send(plan);
    try {
      const [published] = (await Promise.race([
        once(this.meters, 'message', { signal }),
        once(this.meters, 'exit', { signal }).then(() => {
          throw new Error('the meters have ended');
        }),
      ])) as [Published];
      return published;
    } finally {
      settled.abort();
    }
  }

  private async checkKept(pipe: Pipe, expected: number): Promise<void> {
    const [row] = await this.bench.database.query<{ count: number }>(
      `SELECT count(*) AS count FROM ${pipe.table}`,
    );
    if (row!.count !== expected) throw new Error(`${row!.count} of ${expected} readings are kept`);
    this.readings += expected;
  }
}

/** Grid meters, a tenth of them behind each gateway, straight into the tables. */
async function enrol(sql: Sql): Promise<PublishPlan['gateways']> {
  const startsAt = new Date(STARTS_MILLIS).toISOString();
  const meters = Array.from({ length: METERS }, (_, number) => meterOf(number));
  const gateways = Array.from({ length: GATEWAYS }, (_, number) => `gateway${number}`);
  await sql.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, starts_at)
     VALUES ($1, 'A benchmark', 'EUR', $2)`,
    [MICROGRID, startsAt],
  );
  await sql.query(`INSERT INTO market_clock (now) SELECT $1::timestamptz + interval '13 days'`, [
    startsAt,
  ]);
  await sql.query(
    `INSERT INTO party SELECT unnest($1::text[]), 'meter' UNION ALL
     SELECT unnest($2::text[]), 'gateway' UNION ALL SELECT 'h', 'household'`,
    [meters, gateways],
  );
  await sql.query(
    `INSERT INTO household (microgrid_id, household_id, alias, active_from) VALUES ($1, 'h', 'h', $2)`,
    [MICROGRID, startsAt],
  );
  await sql.query(`INSERT INTO gateway SELECT $1, unnest($2::text[])`, [MICROGRID, gateways]);
  await sql.query(
    `INSERT INTO meter (microgrid_id, meter_id, household_id, role, gateway_id, active_from)
     SELECT $1, meter, 'h', 'grid', gateway, $4
     FROM unnest($2::text[], $3::text[]) AS enrolled (meter, gateway)`,
    [MICROGRID, meters, meters.map((_, number) => gateways[number % GATEWAYS]), startsAt],
  );
  const named = gateways.map((username) => ({ username, kind: 'gateway' as const }));
  const issued = await issueSecrets(sql, MICROGRID, named);
  return issued.map(({ username, secret }) => ({ username, password: secret }));
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

await present('ingest', HELP, measure);
