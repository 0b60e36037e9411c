import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { ReplayResult } from '../../simulator/replay-report.js';
import { emptyDatabase } from '../support/database.js';
import { SIMULATED } from '../support/settings.js';
import { sharedFile } from '../support/shared.js';
import {
  buildProgram,
  optionsOf,
  runCommand,
  startProgram,
  tempFolder,
  until,
  type Ended,
} from './program.js';

/** `npm run replay`: a measured street through the real service, and what must come of it. */

const MEASURED = sharedFile('data/citylearn2022_load_pv_hourly.csv');

const describeMeasured = MEASURED === null ? describe.skip : describe;

let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeAll(async () => {
  await buildProgram();
  folder = await tempFolder();
}, 120_000);

afterAll(async () => {
  await folder.remove();
});

describeMeasured('a week of measured data', () => {
  it('comes out to the watt-hour, and verifies', async () => {
    const week = await replayed({
      file: MEASURED!,
      from: '2017-05-01T07:00:00Z',
      to: '2017-05-08T07:00:00Z',
    });
    expect(week).toMatchObject({ households: 17, slots: 168, verify: { ok: true } });
    // 17 households with two meters, read at 169 borders.
    expect(week.readings).toBe(17 * 2 * 169);
    expect(week.energy).toMatchObject({
      productionMintedWh: 2_346_847,
      consumptionMintedWh: 2_912_037,
      selfClaimedWh: 1_207_480,
      neighborClaimedWh: 377_545,
      matchableWh: 377_545,
    });
    expectBalanced(week);
    expect(week.market.tradedWh).toBe(377_545);
    // Each Wh bought from a neighbor is one that neither costs retail nor earns the feed-in tariff.
    const gapMicroPerWh = 300 - 50;
    const lines = 17 * 168;
    expect(Math.abs(week.money.savedMicro - 377_545 * gapMicroPerWh)).toBeLessThanOrEqual(lines);
    expect(week.money.savedMicro).toBe(week.money.tariffCostMicro - week.money.householdsCostMicro);
    expect(week.ledger.sequence).toBe(week.ledger.records);
    expect(week.ledger.checkpointSize).toBe(week.ledger.records);
    expect(week.source).toEqual({ stepMinutes: 60, slotMinutes: 60, derived: false });
  }, 180_000);

  it('is the same when every message comes twice and out of order', async () => {
    const file = await extract('2016-08-01T07', '2016-08-02T12');
    const calm = await withBalances({ file });
    const chaotic = await withBalances({ file, chaos: 'duplicate,shuffle' });
    expect(chaotic.result.ledger).toEqual(calm.result.ledger);
    expect(chaotic.balances).toEqual(calm.balances);
    expect(calm.balances.length).toBeGreaterThan(17);
    const { seconds: _, ...calmly } = calm.result;
    expect(chaotic.result).toMatchObject(calmly);
    expect(calm.result.slots).toBe(30);
  }, 180_000);

  it('is traded ahead by autopilots, to the micro-unit as the back-test says', async () => {
    const days = {
      file: MEASURED!,
      from: '2017-05-15T07:00:00Z',
      to: '2017-05-17T07:00:00Z',
      households: 'h01,h02,h05,h12',
    };
    const traded = await replayed({
      ...days,
      mechanism: 'call-auction',
      strategy: 'adaptive',
      chaos: 'duplicate,shuffle',
    });
    expect(traded.verify.ok).toBe(true);
    expectBalanced(traded);
    expect(traded.market.orders).toBeGreaterThan(100);
    for (const { costMicro, tariffCostMicro } of traded.homes) {
      expect(costMicro).toBeLessThanOrEqual(tariffCostMicro);
    }
    const { code, stdout } = await runCommand([
      'backtest',
      ...optionsOf({ ...days, strategies: 'adaptive', json: true }),
    ]);
    expect(code).toBe(0);
    const [{ summary, homes }] = JSON.parse(stdout) as [
      { summary: object; homes: ReplayResult['homes'][] },
    ];
    expect(summary).toMatchObject({
      claimedWh: traded.energy.neighborClaimedWh,
      matchableWh: traded.energy.matchableWh,
      savedMicro: traded.money.savedMicro,
    });
    expect(traded.homes).toMatchObject(homes[0]!);
  }, 180_000);

  it('estimates an hour without data, and corrects it when the meters are read again', async () => {
    const file = await extract('2016-11-06T05', '2016-11-06T12');
    const { result, borders } = await withBalances({
      file,
      from: '2016-11-06T06:00:00Z',
      to: '2016-11-06T12:00:00Z',
    });
    expect(result).toMatchObject({ slots: 6, verify: { ok: true } });
    expectBalanced(result);
    // The hour without data lies between readings in the end: nothing of what was metered is lost.
    const metered = await metersOf(file, '2016-11-06T06', '2016-11-06T12');
    expect(result.energy.productionMintedWh).toBe(metered.pvWh);
    expect(result.energy.consumptionMintedWh - result.energy.unexplainedWh).toBe(metered.loadWh);
    const ofGap = borders.filter(({ at }) => at === '2016-11-06T10:00:00Z');
    expect(ofGap.map(({ revision, quality }) => `${revision} ${quality}`)).toEqual([
      '0 estimated',
      '1 interpolated',
    ]);
  }, 120_000);

  it('splits hours into quarters for --slot-minutes 15, and says so', async () => {
    const file = await extract('2016-08-01T15', '2016-08-01T19');
    const households = ['h01', 'h02', 'h05'];
    const quarters = await replayed({
      file,
      'slot-minutes': '15',
      households: households.join(','),
    });
    const metered = await metersOf(file, '2016-08-01T15', '2016-08-01T20', households);
    expect(quarters).toMatchObject({
      households: 3,
      slots: 20,
      verify: { ok: true },
      source: { stepMinutes: 60, slotMinutes: 15, derived: true },
      energy: { productionMintedWh: metered.pvWh, consumptionMintedWh: metered.loadWh },
    });
    expectBalanced(quarters);
  }, 120_000);
});

describe('the command line', () => {
  const ROWS = [
    'timestamp,household,load_wh,pv_wh',
    '2026-06-01T10:00:00Z,north,300,1200',
    '2026-06-01T10:00:00Z,south,800,0',
    '2026-06-01T10:15:00Z,north,250,900',
    '2026-06-01T10:15:00Z,south,700,100',
  ];

  it('without --json shows the result to people', async () => {
    const { code, stdout, stderr } = await replay(['--file', await street(ROWS)]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^2 households, 2 slots of 15 min, 12 readings, [\d.]+ s$/m);
    expect(stdout).toMatch(/^verify: ok$/m);
  }, 120_000);

  it('names bad rows by line and starts nothing', async () => {
    const file = await street([
      ...ROWS,
      '2026-06-01T10:30:00Z,north,-1,0',
      '2026-06-01T10:30:00,south,1,0',
      '2026-06-01T10:15:00Z,south,700,100',
      '2026-06-01T10:30:00Z,no body,1,0',
    ]);
    const untouched = await tempFolder();
    const { code, stdout, stderr } = await replay(['--file', file], { TMPDIR: untouched.path });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/line 6, column load_wh: "-1"/);
    expect(stderr).toMatch(/line 7, column timestamp: "2026-06-01T10:30:00"/);
    expect(stderr).toMatch(/line 8, column household: south already has this interval in line 5/);
    expect(stderr).toMatch(/line 9, column household: "no body"/);
    expect(await readdir(untouched.path)).toEqual([]);
    await untouched.remove();
  });

  it('leaves nothing behind when it is interrupted, and nothing running when it is killed', async () => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const place = await tempFolder();
      const args = ['scripts/run.mjs', 'replay', '--file', await street(ROWS)];
      const { child, ended } = startProgram(args, { TMPDIR: place.path });
      const running = await until(
        'the service of the replay runs',
        () => startedIn(place.path),
        60_000,
      );
      child.kill(signal);
      const { code, stderr } = await ended;
      await until('everything it started has ended', () => !running.some(isAlive));
      if (signal === 'SIGINT') {
        expect({ code, stderr }).toEqual({ code: 1, stderr: 'replay: interrupted\n' });
        expect(await readdir(place.path)).toEqual([]);
      }
      await place.remove();
    }
  }, 120_000);

  it('exits 1 and says what is wrong with an option, and explains itself with --help', async () => {
    const file = await street(ROWS);
    const refused = await Promise.all([
      replay(['--file', file, '--slot-minutes', '7']),
      replay(['--file', join(folder.path, 'absent.csv')]),
      replay(['--file', file, '--households', 'north,west']),
      replay(['--file', file, '--nonsense']),
    ]);
    expect(refused.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
      refused.map(() => ({ code: 1, stdout: '' })),
    );
    const [slots, absent, unknown] = refused.map(({ stderr }) => stderr);
    expect(slots).toMatch(/--slot-minutes 7 .* 5, 15, 30, 60/);
    expect(absent).toMatch(/absent\.csv/);
    expect(unknown).toMatch(/west/);
    const { code, stdout } = await replay(['--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/--chaos LIST/);
  });
});

/** The service and the database that a replay has started below this folder; null until both run. */
async function startedIn(place: string): Promise<number[] | null> {
  const [work] = await readdir(place);
  const dataDir = join(place, work ?? '', 'data');
  const said = await readFile(join(dataDir, 'service.json'), 'utf8').catch(() => null);
  if (said === null) return null;
  const postmaster = await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8');
  return [(JSON.parse(said) as { pid: number }).pid, Number(postmaster.split('\n')[0])];
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function replay(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return runCommand(['replay', ...args], { ...SIMULATED, TMPDIR: folder.path, ...env });
}

/** The one document that a successful replay prints with --json. */
async function replayed(options: Record<string, string>): Promise<ReplayResult> {
  const { code, stdout, stderr } = await replay(optionsOf({ ...options, json: true }));
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\{[^\n]*\}\n$/);
  return JSON.parse(stdout) as ReplayResult;
}

/** Into a database that can be looked into afterwards. */
async function withBalances(options: Record<string, string>) {
  const database = await emptyDatabase();
  try {
    const result = await replayed({ ...options, 'database-url': database.url });
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const balances = await client.query<Record<string, string>>(BALANCES);
    const borders = await client.query<{ at: string; revision: number; quality: string }>(BORDERS);
    await client.end();
    return { result, balances: balances.rows, borders: borders.rows };
  } finally {
    await database.drop();
  }
}

/** Design, section 5: exactly, and nothing appears or vanishes. */
function expectBalanced({ energy }: ReplayResult): void {
  expect(energy.selfClaimedWh + energy.neighborClaimedWh + energy.toGridWh).toBe(
    energy.productionMintedWh,
  );
  expect(
    energy.selfClaimedWh + energy.neighborClaimedWh + energy.fromGridWh + energy.unexplainedWh,
  ).toBe(energy.consumptionMintedWh);
}

let streets = 0;

async function street(lines: readonly string[]): Promise<string> {
  const file = join(folder.path, `street-${(streets += 1)}.csv`);
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
}

/** The measured rows of [from, to], compared as text. */
async function extract(from: string, to: string): Promise<string> {
  const [header, ...rows] = (await readFile(MEASURED!, 'utf8')).trim().split('\n');
  return street([header!, ...rows.filter((row) => row >= from && row < `${to}~`)]);
}

/** What the file says was generated and used in [from, to). */
async function metersOf(file: string, from: string, to: string, households?: readonly string[]) {
  const rows = (await readFile(file, 'utf8')).trim().split('\n').slice(1);
  const sum = { loadWh: 0, pvWh: 0 };
  for (const row of rows) {
    const [at, household, loadWh, pvWh] = row.split(',') as [string, string, string, string];
    if (at < from || at >= to || (households && !households.includes(household))) continue;
    sum.loadWh += Number(loadWh);
    sum.pvWh += Number(pvWh);
  }
  return sum;
}

const BALANCES = `
  SELECT account_id, asset, debits_pending, credits_pending, debits_posted, credits_posted
  FROM account ORDER BY microgrid_id, account_id`;

const BORDERS = `
  SELECT DISTINCT to_char(border_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
    revision, quality
  FROM register_border ORDER BY 1, 2, 3`;
