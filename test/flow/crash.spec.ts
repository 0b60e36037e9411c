import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { randomFrom, shuffled } from '../../simulator/random.js';
import { freePort } from '../../src/database/postgres-folder.service.js';
import {
  buildProgram,
  optionsOf,
  RunningService,
  runCommand,
  startProgram,
  tempFolder,
  until,
} from './program.js';
import { dayOf, Stream, type Message, type Step } from './stream.js';

/**
 * Processes end at any moment, as when the power fails: what was acknowledged is there, nothing is
 * there twice, and in the end the books are those of a day without any trouble.
 */

const KILLS = 20;
const STEPS = 72;
/** After so many slots, who is killed. */
const DEATHS_IN_THE_STREET = [
  [2, 'service'],
  [4, 'database'],
  [6, 'service'],
  [9, 'service'],
] as const;
const SEED = process.env['CRASH_SEED'] ?? String(Date.now());

let folder: Awaited<ReturnType<typeof tempFolder>>;
let service: RunningService;
let stream: Stream;
let observer: Observer;
/** Kills and starts that a stream has brought about. */
let underway: Promise<void> = Promise.resolve();

beforeAll(buildProgram, 120_000);

beforeEach(async () => {
  process.stderr.write(`CRASH_SEED=${SEED} # ${expect.getState().currentTestName}\n`);
  folder = await tempFolder();
  service = new RunningService(join(folder.path, 'data'), {
    MARKET_CLOCK: 'simulated',
    HTTP_PORT: String(await freePort()),
    MQTT_PORT: String(await freePort()),
    BOOTSTRAP_LOGINS: join(folder.path, 'logins.json'),
    // A service that is killed often is quick to hear of it.
    LOG_LEVEL: 'fatal',
  });
  stream = new Stream();
  observer = new Observer(service.dataDir);
});

afterEach(async () => {
  await underway.catch(() => undefined);
  underway = Promise.resolve();
  await stream.close();
  await observer.close();
  await service.kill();
  await folder.remove();
});

describe('a day of readings', () => {
  const day = dayOf(SEED, STEPS);
  let calm: Books;

  it('without any trouble settles every slot', async () => {
    await stream.enrol(await service.start(), service.env['BOOTSTRAP_LOGINS']!);
    await stream.play(day);
    calm = await books();
    expect(calm.slots).toEqual(Array.from({ length: STEPS / 3 }, () => 'closed'));
    expect(calm.rejections).toEqual([]);
    // The silent meters of this day were estimated and put right.
    expect(calm.corrections).toBeGreaterThan(0);
    expect(await verdict()).toEqual({ ok: true });
  }, 60_000);

  it(`is the same when the service is killed at ${KILLS} moments of it`, async () => {
    await stream.enrol(await service.start(), service.env['BOOTSTRAP_LOGINS']!);
    const moments = momentsOf(day);
    const everAcknowledged = new Set<Message>();
    let kills = 0;
    await stream.play(day, (step, acknowledged) => {
      for (const message of acknowledged) everAcknowledged.add(message);
      const next = moments[0];
      if (!next || next.step > step) return;
      if (next.step === step && next.acknowledged > acknowledged.length) return;
      moments.shift();
      // The broker answers before the service has said that it is ready: one after the other.
      underway = underway.then(async () => {
        await sleep(next.delayMillis);
        const told = [...everAcknowledged];
        await service.kill();
        kills += 1;
        await observer.expectKept(told);
        await service.start();
      });
    });
    await underway;
    expect(kills).toBe(KILLS);
    await observer.expectKept([...everAcknowledged]);
    expect(everAcknowledged.size).toBe(
      day.flatMap(({ late, onTime }) => [...late, ...onTime]).length,
    );
    const killed = await books();
    expect(killed.readings).toEqual(calm.readings);
    expect(killed).toEqual(calm);
    expect(await verdict()).toEqual({ ok: true });
  }, 400_000);

  it('goes on when the database itself is killed', async () => {
    await stream.enrol(await service.start(), service.env['BOOTSTRAP_LOGINS']!);
    const random = randomFrom(`${SEED}/database`);
    const killAt = [1, 2].map((nth) => random.between(nth * 20, nth * 20 + 10));
    let kills = 0;
    const everAcknowledged = new Set<Message>();
    await stream.play(day, (step, acknowledged) => {
      for (const message of acknowledged) everAcknowledged.add(message);
      if (step !== killAt[0] || acknowledged.length < 3) return;
      killAt.shift();
      kills += 1;
      underway = underway.then(() => observer.killServer());
    });
    await underway;
    expect(kills).toBe(2);
    expect(service.isRunning).toBe(true);
    await observer.expectKept([...everAcknowledged]);
    expect(await books()).toEqual(calm);
    expect(await verdict()).toEqual({ ok: true });
  }, 120_000);
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
          until: '2026-06-01T13:00:00Z',
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
        await observer.killServer();
      } else {
        await service.kill();
        await service.start();
      }
    }
    const { code, stdout, stderr } = await simulate.ended;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const summary = JSON.parse(stdout) as { readings: number; until: string };
    expect(summary.until).toBe('2026-06-01T13:00:01Z');
    expect(await observer.closedSlots()).toBe(12);
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

async function verdict(): Promise<{ ok: boolean }> {
  const { code, stdout, stderr } = await runCommand(['verify', '--json'], {
    DATA_DIR: service.dataDir,
  });
  if (code !== 0) throw new Error(`verify ended with ${code}:\n${stdout}${stderr}`);
  const { ok } = JSON.parse(stdout) as { ok: boolean };
  return { ok };
}

/** When to kill: in these steps, once so much of one is acknowledged, a moment later. */
function momentsOf(day: readonly Step[]) {
  const random = randomFrom(`${SEED}/moments`);
  const steps = shuffled([...day.keys()].slice(1), random).slice(0, KILLS);
  return steps
    .sort((a, b) => a - b)
    .map((step) => ({
      step,
      // 0: while the clock is moved, and slots close.
      acknowledged:
        random.between(0, 2) === 0 ? 0 : random.between(1, day[step]!.onTime.length - 1),
      delayMillis: random.between(0, 25),
    }));
}

/** Looks into the embedded database past the service, which may be dead. */
class Observer {
  private client: pg.Client | undefined;

  constructor(private readonly dataDir: string) {}

  async query<Row>(text: string, parameters: unknown[] = []): Promise<Row[]> {
    this.client ??= await this.connect();
    return (await this.client.query(text, parameters)).rows as Row[];
  }

  async expectKept(messages: readonly Message[]): Promise<void> {
    const lost = await this.query(
      `SELECT told.* FROM unnest($1::text[], $2::timestamptz[], $3::numeric[], $4::numeric[])
         AS told (meter, read_at, import_wh, export_wh)
       WHERE NOT EXISTS (
         SELECT FROM reading r WHERE r.meter_id = told.meter AND r.read_at = told.read_at
         AND r.value_wh = CASE r.register WHEN 'import' THEN told.import_wh ELSE told.export_wh END)`,
      [
        messages.map(({ meter }) => meter),
        messages.map(({ readAt }) => readAt),
        messages.map(({ importWh }) => importWh),
        messages.map(({ exportWh }) => exportWh),
      ],
    );
    expect(lost).toEqual([]);
  }

  async closedSlots(): Promise<number> {
    try {
      const rows = await this.query(`SELECT FROM slot WHERE status = 'closed'`);
      return rows.length;
    } catch {
      return 0;
    }
  }

  rejections(): Promise<{ reason: string; detail: string }[]> {
    return this.query(`SELECT reason, detail FROM rejection ORDER BY 1, 2`);
  }

  /** SIGKILL to PostgreSQL's first process; the others end when they notice. */
  async killServer(): Promise<void> {
    const file = join(this.dataDir, 'postgres/postmaster.pid');
    process.kill(Number((await readFile(file, 'utf8')).split('\n')[0]), 'SIGKILL');
  }

  async close(): Promise<void> {
    await this.client?.end().catch(() => undefined);
    this.client = undefined;
  }

  private async connect(): Promise<pg.Client> {
    const access = JSON.parse(await readFile(join(this.dataDir, 'postgres.json'), 'utf8')) as {
      user: string;
      password: string;
      port: number;
    };
    const client = new pg.Client({ host: '127.0.0.1', database: 'neighborwatt', ...access });
    // It looks again with a new connection when the server it saw was killed.
    client.on('error', () => (this.client = undefined));
    await client.connect();
    return client;
  }
}
