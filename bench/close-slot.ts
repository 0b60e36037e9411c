import { mkdtemp, rm } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Logger } from '@nestjs/common';
import { loadSettings } from '../src/config.js';
import type { DatabaseService, Sql } from '../src/database/database.service.js';
import { openDatabase } from '../src/database/open-database.service.js';
import { LedgerService } from '../src/ledger/ledger.service.js';
import { LogService } from '../src/ledger/log.service.js';
import { MarketService } from '../src/market/market.service.js';
import { IntakeService } from '../src/metering/intake.service.js';
import { MeteringService } from '../src/metering/metering.service.js';
import { MarketClockService } from '../src/parties/market-clock.service.js';
import { PartiesService } from '../src/parties/parties.service.js';
import { SlotClosingService } from '../src/settlement/slot-closing.service.js';
import { randomFrom } from '../simulator/random.js';
import { formatInstant, parseInstant, type Instant } from '../src/units/slot.js';

/**
 * Closes slots of one microgrid end to end on a real, durable PostgreSQL and says what a slot costs:
 * seconds, records a second, how much of it is SQL and which statements, and with `--profile` which
 * functions the rest is spent in. The limit it is held against: 1,000 microgrids of 1,000 households
 * in a quarter of an hour on two cores, so 0.9 s a slot with one core's share of 1.8 s.
 */

const OPTIONS = {
  households: { type: 'string', default: '1000' },
  slots: { type: 'string', default: '6' },
  seed: { type: 'string', default: '1' },
  profile: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const HELP = `npm run bench -- close-slot [--households 1000] [--slots 6] [--seed 1] [--profile] [--json]

Closes slots of a microgrid on an embedded PostgreSQL in a temporary folder, or at DATABASE_URL.
`;

const MICROGRID = 'bench';
const STARTS = '2026-06-01T10:00:00Z';
const SLOT_MILLIS = 900_000;
/** Slots before the measured ones: code gets warm, tables get their first pages. */
const WARM_UP = 2;
const BATTERY_EVERY = 5;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const [households, slots] = [
    whole(values.households, 'households'),
    whole(values.slots, 'slots'),
  ];
  const dataDir = await mkdtemp(join(tmpdir(), 'neighborwatt-bench-'));
  try {
    const result = await measure({ ...values, households, slots, dataDir });
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : told(result));
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface Plan {
  households: number;
  slots: number;
  seed: string;
  profile: boolean;
  dataDir: string;
}

interface Statement {
  statement: string;
  secondsPerSlot: number;
}

interface Result {
  machine: string;
  node: string;
  seed: string;
  households: number;
  slots: number;
  recordsPerSlot: number;
  transfersPerSlot: number;
  secondsPerSlot: number;
  secondsSlowest: number;
  sqlSecondsPerSlot: number;
  pureSecondsPerSlot: number;
  /** Of the processor, by this process; what other programs do on the machine shows least here. */
  processorSecondsPerSlot: number;
  signSecondsPerSlot: number;
  recordsPerSecond: number;
  readingsPerSecond: number;
  statements: Statement[];
  functions: { name: string; percent: number }[];
}

async function measure(plan: Plan): Promise<Result> {
  Logger.overrideLogger(['error']);
  const settings = loadSettings({
    ...(process.env['DATABASE_URL'] ? { DATABASE_URL: process.env['DATABASE_URL'] } : {}),
    DATA_DIR: plan.dataDir,
    MARKET_CLOCK: 'simulated',
    MAX_CLOCK_AHEAD_SECONDS: '86400',
  });
  const database = await openDatabase(settings);
  try {
    const timed = new TimedStatements(database);
    const clock = new MarketClockService(settings, database);
    const ledger = new LedgerService();
    const log = new LogService(settings);
    const parties = new PartiesService(database, clock, ledger);
    const metering = new MeteringService(new IntakeService(database, clock, settings));
    const market = new MarketService(database, ledger, parties, clock);
    const closing = new SlotClosingService(timed.database, parties, ledger, metering, market);
    await enrol(database, plan.households);
    const microgrid = (await parties.microgrid(database, MICROGRID))!;
    const street = new Street(plan);
    const intakeMillis: number[] = [await street.read(metering, STARTS)];

    const closeMillis: number[] = [];
    const signMillis: number[] = [];
    let processorMicros = 0;
    let before = await ledger.summary(database, MICROGRID);
    const profiler = plan.profile ? new Profiler() : null;
    for (let slot = 0; slot < WARM_UP + plan.slots; slot += 1) {
      const slotStart = later(STARTS, slot);
      intakeMillis.push(await street.read(metering, later(STARTS, slot + 1)));
      if (slot === WARM_UP) {
        before = await ledger.summary(database, MICROGRID);
        timed.reset();
        await profiler?.start();
      }
      const used = process.cpuUsage();
      const started = performance.now();
      await closing.close(microgrid, slotStart);
      const closed = performance.now();
      await log.sign(timed.database, MICROGRID);
      if (slot < WARM_UP) continue;
      closeMillis.push(closed - started);
      signMillis.push(performance.now() - closed);
      const { user, system } = process.cpuUsage(used);
      processorMicros += user + system;
    }
    const functions = (await profiler?.stop()) ?? [];
    const after = await ledger.summary(database, MICROGRID);
    const secondsPerSlot = mean(closeMillis) / 1000;
    const signSecondsPerSlot = mean(signMillis) / 1000;
    const statements = timed.perSlot(plan.slots);
    const sqlSecondsPerSlot = statements.reduce((sum, one) => sum + one.secondsPerSlot, 0);
    const recordsPerSlot = (after.records - before.records) / plan.slots;
    return {
      machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
      node: process.version,
      seed: plan.seed,
      households: plan.households,
      slots: plan.slots,
      recordsPerSlot,
      transfersPerSlot: (after.transfers - before.transfers) / plan.slots,
      secondsPerSlot: secondsPerSlot + signSecondsPerSlot,
      secondsSlowest: Math.max(...closeMillis) / 1000,
      sqlSecondsPerSlot,
      pureSecondsPerSlot: secondsPerSlot + signSecondsPerSlot - sqlSecondsPerSlot,
      processorSecondsPerSlot: processorMicros / 1e6 / plan.slots,
      signSecondsPerSlot,
      recordsPerSecond: recordsPerSlot / secondsPerSlot,
      readingsPerSecond: (1000 * street.readings) / intakeMillis.reduce((sum, one) => sum + one),
      statements: statements.slice(0, 12),
      functions,
    };
  } finally {
    await database.close();
  }
}

/** The database with a clock on every statement that goes through it. */
class TimedStatements {
  readonly database: DatabaseService;
  private readonly millis = new Map<string, number>();

  constructor(inner: DatabaseService) {
    const query = this.timed(inner);
    this.database = Object.assign(Object.create(inner) as DatabaseService, {
      query,
      transaction: <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
        const began = performance.now();
        let ended = began;
        return inner
          .transaction(async (sql) => {
            this.add('BEGIN', performance.now() - began);
            const result = await work({
              query: this.timed(sql),
              copyIn: (copies) => this.timing('COPY journal', () => sql.copyIn(copies)),
            });
            ended = performance.now();
            return result;
          })
          .then((result) => {
            this.add('COMMIT', performance.now() - ended);
            return result;
          });
      },
    });
  }

  reset(): void {
    this.millis.clear();
  }

  perSlot(slots: number): Statement[] {
    return [...this.millis]
      .map(([statement, millis]) => ({ statement, secondsPerSlot: millis / 1000 / slots }))
      .sort((a, b) => b.secondsPerSlot - a.secondsPerSlot);
  }

  private timed(sql: Sql): Sql['query'] {
    return <Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]> =>
      this.timing(text, () => sql.query<Row>(text, parameters));
  }

  private async timing<T>(text: string, run: () => Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      return await run();
    } finally {
      this.add(nameOf(text), performance.now() - began);
    }
  }

  private add(statement: string, millis: number): void {
    this.millis.set(statement, (this.millis.get(statement) ?? 0) + millis);
  }
}

/** What a statement does to which table. */
function nameOf(text: string): string {
  const written = /\b(INSERT INTO|UPDATE|DELETE FROM|COPY)\s+(\w+)/.exec(text);
  if (written) return `${written[1]} ${written[2]}`;
  const read = /\bFROM\s+([a-z_]+)\b(?!\s*\()/.exec(text);
  return `SELECT ${/LATERAL/.test(text) ? 'around ' : ''}${read?.[1] ?? '?'}`;
}

/** Where the processor's time goes, by function. */
class Profiler {
  private readonly session = new Session();

  async start(): Promise<void> {
    this.session.connect();
    await this.session.post('Profiler.enable');
    await this.session.post('Profiler.start');
  }

  async stop(): Promise<{ name: string; percent: number }[]> {
    const { profile } = await this.session.post('Profiler.stop');
    this.session.disconnect();
    const self = new Map<string, number>();
    let busy = 0;
    for (const { callFrame, hitCount = 0 } of profile.nodes) {
      if (callFrame.functionName === '(idle)' || callFrame.functionName === '(program)') continue;
      const file = callFrame.url.split('/').slice(-2).join('/');
      const name = `${callFrame.functionName || '(anonymous)'} ${file}`;
      self.set(name, (self.get(name) ?? 0) + hitCount);
      busy += hitCount;
    }
    return [...self]
      .sort(([, a], [, b]) => b - a)
      .slice(0, 20)
      .map(([name, hits]) => ({ name, percent: Math.round((1000 * hits) / busy) / 10 }));
  }
}

/** Households with rising registers: half have panels, every fifth a battery. */
class Street {
  readings = 0;
  private readonly registers: { meter: string; importWh: number; exportWh: number }[];
  private readonly random;

  constructor({ households, seed }: Plan) {
    this.random = randomFrom(`${seed}/close-slot`);
    this.registers = Array.from({ length: households }, (_, at) =>
      metersOf(at).map(({ meter }) => ({ meter, importWh: 0, exportWh: 0 })),
    ).flat();
  }

  /** Takes in one reading a meter. @returns milliseconds */
  async read(metering: MeteringService, readAt: Instant): Promise<number> {
    const messages = this.registers.map((register) => {
      const sells = this.random.uniform() < 0.4;
      register.importWh += sells ? 0 : this.random.between(0, 500);
      register.exportWh += sells ? this.random.between(0, 700) : 0;
      const { meter, importWh, exportWh } = register;
      return {
        topic: `microgrids/${MICROGRID}/meters/${meter}/readings`,
        payload: Buffer.from(JSON.stringify({ readAt, importWh, exportWh })),
        retained: false,
      };
    });
    const started = performance.now();
    await Promise.all(messages.map((message) => metering.intake(message)));
    this.readings += messages.length;
    return performance.now() - started;
  }
}

function householdOf(at: number): string {
  return `h${String(at).padStart(6, '0')}`;
}

function metersOf(at: number): { meter: string; role: string }[] {
  const id = householdOf(at);
  return [
    { meter: `${id}-grid`, role: 'grid' },
    ...(at % 2 === 0 ? [{ meter: `${id}-pv`, role: 'generation' }] : []),
    ...(at % BATTERY_EVERY === 0 ? [{ meter: `${id}-battery`, role: 'storage' }] : []),
  ];
}

/** Straight into the tables: what is measured is the close, not the hashing of meters' secrets. */
async function enrol(sql: Sql, count: number): Promise<void> {
  const households = Array.from({ length: count }, (_, at) => householdOf(at));
  const meters = households.flatMap((household, at) =>
    metersOf(at).map((meter) => ({ household, ...meter })),
  );
  await sql.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, credit_limit_micro, starts_at)
     VALUES ($1, 'A benchmark', 'EUR', 1000000000, $2)`,
    [MICROGRID, STARTS],
  );
  await sql.query(
    `INSERT INTO tariff (microgrid_id, valid_from, from_minute, retail_micro_per_kwh,
       feed_in_micro_per_kwh, grid_fee_micro_per_kwh)
     VALUES ($1, $2, 0, 300000, 50000, 20000)`,
    [MICROGRID, STARTS],
  );
  await sql.query(
    `INSERT INTO party SELECT unnest($1::text[]), 'household'
     UNION ALL SELECT unnest($2::text[]), 'meter'`,
    [households, meters.map(({ meter }) => meter)],
  );
  await sql.query(
    `INSERT INTO household (microgrid_id, household_id, alias, active_from)
     SELECT $1, id, id, $3 FROM unnest($2::text[]) AS id`,
    [MICROGRID, households, STARTS],
  );
  await sql.query(
    `INSERT INTO meter (microgrid_id, meter_id, household_id, role, usable_wh, active_from)
     SELECT $1, m.id, m.household, m.role, CASE m.role WHEN 'storage' THEN 5000 END, $5
     FROM unnest($2::text[], $3::text[], $4::text[]) AS m (id, household, role)`,
    [
      MICROGRID,
      meters.map(({ meter }) => meter),
      meters.map(({ household }) => household),
      meters.map(({ role }) => role),
      STARTS,
    ],
  );
}

function told(result: Result): string {
  const line = (name: string, value: string) => `${name.padEnd(36)}${value}\n`;
  const seconds = (value: number) => `${value.toFixed(3)} s`;
  return [
    `${result.machine}, Node ${result.node}, seed ${result.seed}\n\n`,
    line('households, slots', `${result.households}, ${result.slots}`),
    line('a slot', `${seconds(result.secondsPerSlot)}, slowest ${seconds(result.secondsSlowest)}`),
    line('  of it SQL', seconds(result.sqlSecondsPerSlot)),
    line('  of it this process', seconds(result.pureSecondsPerSlot)),
    line('    on the processor', seconds(result.processorSecondsPerSlot)),
    line('  of both, the checkpoint', seconds(result.signSecondsPerSlot)),
    line('records a slot', `${Math.round(result.recordsPerSlot)}`),
    line('transfers a slot', `${Math.round(result.transfersPerSlot)}`),
    line('records a second', `${Math.round(result.recordsPerSecond)}`),
    line('readings taken in a second', `${Math.round(result.readingsPerSecond)}`),
    '\nStatements, seconds a slot\n',
    ...result.statements.map((one) => line(`  ${one.statement}`, seconds(one.secondsPerSlot))),
    ...(result.functions.length === 0 ? [] : ["\nFunctions, share of this process' time\n"]),
    ...result.functions.map(({ name, percent }) => `  ${`${percent} %`.padEnd(9)}${name}\n`),
  ].join('');
}

function later(instant: Instant, slots: number): Instant {
  return formatInstant(parseInstant(instant) + slots * SLOT_MILLIS);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function whole(text: string, name: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text))
    throw new Error(`--${name} must be a whole number, not ${text}`);
  return Number(text);
}

await main();
