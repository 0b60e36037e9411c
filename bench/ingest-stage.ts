import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BrokerService } from '../src/broker/broker.service.js';
import type { Sql } from '../src/database/database.service.js';
import { issueSecrets } from '../src/parties/device.store.js';
import type { BenchDatabase } from './database.js';
import {
  meterOf,
  microgridOf,
  nowMillis,
  numberOf,
  type Published,
  type PublishPlan,
  type Street,
} from './ingest-plan.js';
import { startMosquitto } from './mosquitto.js';
import type { Pipe } from './pipes.js';

/** Where runs of the ingest benchmark take place: a broker, the meters, and the clock of commits. */

export type Transport = 'embedded' | 'Mosquitto';

export interface Run {
  transport: Transport;
  pipe: Pipe;
  readingsAMessage: number;
  window: number;
  millis: number;
  most: number;
  /** Messages a second; null is flat out. */
  pace: number | null;
}

export interface Outcome {
  readings: number;
  readingsASecond: number;
  /** Processor time of the service, and of the embedded broker with it, a reading. */
  processorMicros: number;
  /** From publish to commit, by message. */
  commitMillis: number[];
  /** From publish to the meter's acknowledgement, by message. */
  acknowledgeMillis: number[];
}

/** Runs one after another; what a meter says in one comes after what it said in those before. */
export class Stage {
  private readonly committedAt = new Float64Array(MAX_MESSAGES);
  private nextSecond = 1;

  constructor(
    private readonly bench: BenchDatabase,
    private readonly meters: Meters,
    private readonly street: Street,
    private readonly gateways: PublishPlan['gateways'],
    private readonly startsMillis: number,
  ) {}

  /** Empties the tables, as they were before the first run. */
  async clear(pipe: Pipe): Promise<void> {
    const { owner } = this.bench;
    await owner.transaction(async (sql) => {
      // Readings are insert-only, for the owner too.
      await sql.query('SET LOCAL session_replication_role = replica');
      await sql.query(`TRUNCATE ${pipe.table}, reading_payload`);
    });
    await owner.query('CHECKPOINT');
  }

  async run({ transport, pipe, pace, ...run }: Run): Promise<Outcome> {
    const { settings } = this.bench;
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
      const before = await this.kept(pipe);
      const usedBefore = process.cpuUsage();
      const published = await this.meters.publish({
        ...run,
        url: mosquitto?.url ?? `mqtt://127.0.0.1:${broker.port}`,
        gateways: this.gateways,
        street: this.street,
        startsMillis: this.startsMillis,
        startSecond: this.nextSecond,
        secondsApart: 1,
        messagesASecond: pace,
      });
      const numbers = [...published.sentAt.keys()].filter((at) => published.sentAt[at]! > 0);
      while (committed < numbers.length) await sleep(5);
      const { user, system } = process.cpuUsage(usedBefore);
      this.goOn(published.sentAt.length, run.readingsAMessage);
      const readings = numbers.length * run.readingsAMessage;
      const kept = (await this.kept(pipe)) - before;
      if (kept !== readings) throw new Error(`${kept} of ${readings} readings are kept`);
      const outcome = this.outcome(numbers, published, readings);
      return { ...outcome, processorMicros: (user + system) / readings };
    } finally {
      await broker.stop();
      await mosquitto?.stop();
    }
  }

  private outcome(
    numbers: readonly number[],
    { sentAt, acknowledgedAt }: Published,
    readings: number,
  ): Omit<Outcome, 'processorMicros'> {
    const first = numbers.reduce((least, at) => Math.min(least, sentAt[at]!), Infinity);
    const last = numbers.reduce((most, at) => Math.max(most, this.committedAt[at]!), 0);
    return {
      readings,
      readingsASecond: (1_000 * readings) / (last - first),
      commitMillis: numbers.map((at) => this.committedAt[at]! - sentAt[at]!),
      acknowledgeMillis: numbers.map((at) => acknowledgedAt[at]! - sentAt[at]!),
    };
  }

  private goOn(messages: number, readingsAMessage: number): void {
    const { microgrids, metersEach } = this.street;
    this.nextSecond += Math.ceil(messages / (microgrids * metersEach)) * readingsAMessage;
  }

  private async kept({ table }: Pipe): Promise<number> {
    const [row] = await this.bench.owner.query<{ count: number }>(
      `SELECT count(*) AS count FROM ${table}`,
    );
    return row!.count;
  }
}

const MAX_MESSAGES = 1_000_000;

/** The process that plays the meters. */
export class Meters {
  private readonly child: ChildProcess = fork(
    fileURLToPath(new URL('./ingest-meters.js', import.meta.url)),
    { serialization: 'advanced' },
  );

  /** Resolves when every message is acknowledged. */
  async publish(plan: PublishPlan): Promise<Published> {
    const settled = new AbortController();
    const { signal } = settled;
    this.child.send(plan);
    try {
      const [published] = (await Promise.race([
        once(this.child, 'message', { signal }),
        once(this.child, 'exit', { signal }).then(() => {
          throw new Error('the meters have ended');
        }),
      ])) as [Published];
      return published;
    } finally {
      settled.abort();
    }
  }

  stop(): void {
    this.child.kill();
  }
}

/** Grid meters, one a household, behind their gateways, straight into the tables. */
export async function enrol(
  sql: Sql,
  street: Street,
  startsMillis: number,
): Promise<PublishPlan['gateways']> {
  const { microgrids, metersEach, gatewaysEach } = street;
  const startsAt = new Date(startsMillis).toISOString();
  const gateways: PublishPlan['gateways'] = [];
  for (let at = 0; at < microgrids; at += 1) {
    const microgrid = microgridOf(at);
    const meters = Array.from({ length: metersEach }, (_, place) =>
      meterOf(at * metersEach + place),
    );
    const names = Array.from({ length: gatewaysEach }, (_, place) => `${microgrid}-gw${place}`);
    await enrolOne(sql, microgrid, meters, names, startsAt);
    const named = names.map((username) => ({ username, kind: 'gateway' as const }));
    const issued = await issueSecrets(sql, microgrid, named);
    gateways.push(...issued.map(({ username, secret }) => ({ username, password: secret })));
  }
  return gateways;
}

async function enrolOne(
  sql: Sql,
  microgrid: string,
  meters: readonly string[],
  gateways: readonly string[],
  startsAt: string,
): Promise<void> {
  const households = meters.map((meter) => `h-${meter}`);
  await sql.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, credit_limit_micro, starts_at)
     VALUES ($1, 'A benchmark', 'EUR', 1000000000, $2)`,
    [microgrid, startsAt],
  );
  await sql.query(
    `INSERT INTO tariff (microgrid_id, valid_from, from_minute, retail_micro_per_kwh,
       feed_in_micro_per_kwh, grid_fee_micro_per_kwh)
     VALUES ($1, $2, 0, 300000, 50000, 20000)`,
    [microgrid, startsAt],
  );
  await sql.query(
    `INSERT INTO party SELECT unnest($1::text[]), 'meter' UNION ALL
     SELECT unnest($2::text[]), 'gateway' UNION ALL SELECT unnest($3::text[]), 'household'`,
    [meters, gateways, households],
  );
  await sql.query(
    `INSERT INTO household (microgrid_id, household_id, alias, active_from)
     SELECT $1, id, id, $3 FROM unnest($2::text[]) AS id`,
    [microgrid, households, startsAt],
  );
  await sql.query(`INSERT INTO gateway SELECT $1, unnest($2::text[])`, [microgrid, gateways]);
  await sql.query(
    `INSERT INTO meter (microgrid_id, meter_id, household_id, role, gateway_id, active_from)
     SELECT $1, meter, household, 'grid', gateway, $5
     FROM unnest($2::text[], $3::text[], $4::text[]) AS enrolled (meter, household, gateway)`,
    [
      microgrid,
      meters,
      households,
      meters.map((_, place) => gateways[place % gateways.length]),
      startsAt,
    ],
  );
}
