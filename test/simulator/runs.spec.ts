import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { neighborhood } from '../../simulator/neighborhood.js';
import { Patience } from '../../simulator/patience.js';
import { parseReplayOptions, type ReplayOptions } from '../../simulator/replay-options.js';
import { ReplayRun } from '../../simulator/replay-run.js';
import { ServiceWhereabouts } from '../../simulator/service.whereabouts.js';
import { parseSimulateOptions, type SimulateOptions } from '../../simulator/simulate-options.js';
import { StreetRun } from '../../simulator/street-run.js';
import { FakeService } from './fake-service.js';

let folder: string;
let service: FakeService;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neighborwatt-simulator-'));
  service = new FakeService(folder);
  await service.start();
});

afterEach(async () => {
  await service.stop();
  await rm(folder, { recursive: true, force: true });
});

/** No reading may come after the clock has moved beyond it. */
function expectClockToWait(): void {
  let clock = 0;
  for (const note of service.notes) {
    if (note.kind === 'clock') clock = note.at;
    else expect(note.at).toBeGreaterThanOrEqual(clock);
  }
}

function expectRegistersToRise(): void {
  const last = new Map<string, { at: number; importWh: number; exportWh: number }>();
  for (const { topic, at, importWh, exportWh } of service.readings) {
    const before = last.get(topic);
    expect(importWh).toBeGreaterThanOrEqual(before?.importWh ?? 0);
    expect(exportWh).toBeGreaterThanOrEqual(before?.exportWh ?? 0);
    // The same instant again says the same.
    if (before?.at === at) expect(before).toMatchObject({ importWh, exportWh });
    last.set(topic, { at, importWh, exportWh });
  }
}

describe('the replay of measured data', () => {
  const street = {
    stepMinutes: 15,
    derivedFromMinutes: null,
    startsAt: Date.UTC(2026, 5, 1, 10),
    intervals: 3,
    households: [
      { household: 'a', loadWh: [100, null, 300], pvWh: [0, null, 500] },
      { household: 'b', loadWh: [null, 20, 30], pvWh: [null, 0, 0] },
    ],
  };

  async function replay(...args: string[]): Promise<ReplayRun> {
    const options = parseReplayOptions(['--file', 'x.csv', ...args]) as ReplayOptions;
    const addresses = { httpPort: service.httpPort, mqttPort: service.mqttPort, pid: 1 };
    const logins = join(folder, 'bootstrap-logins.json');
    const run = new ReplayRun(options, street, 15, addresses, logins);
    try {
      await run.play(() => undefined);
    } finally {
      await run.close();
    }
    return run;
  }

  test('moves the clock to T, publishes T, and moves on once everything is acknowledged', async () => {
    const run = await replay();
    expect(run).toMatchObject({ slots: 3, readings: 12 });
    expectClockToWait();
    expect(
      service.readings
        .map(({ topic, at }) => `${topic.split('/')[3]} ${at - street.startsAt}`)
        .sort(),
    ).toEqual([
      'a-grid 0',
      'a-grid 2700000',
      'a-grid 900000',
      'a-pv 0',
      'a-pv 2700000',
      'a-pv 900000',
      'b-grid 1800000',
      'b-grid 2700000',
      'b-grid 900000',
      'b-pv 1800000',
      'b-pv 2700000',
      'b-pv 900000',
    ]);
    const clocks = service.notes.flatMap((note) => (note.kind === 'clock' ? [note.at] : []));
    expect(clocks.map((at) => (at - street.startsAt) / 60_000)).toEqual([
      0,
      0,
      15,
      30,
      45,
      45 + 5 + 1 / 60,
    ]);
  });

  test('enrols from the slot of the first value, at the prices asked for', async () => {
    await replay('--retail', '0.2875', '--feed-in', '0.081', '--mechanism', 'call-auction');
    const [founding, members] = service.enrolled;
    expect(founding!.body).toMatchObject({
      microgrid: 'replay',
      slotMinutes: 15,
      mechanism: 'call-auction',
      startsAt: '2026-06-01T10:00:00Z',
      tariff: { bands: [{ retailMicroPerKwh: 287_500, feedInMicroPerKwh: 81_000 }] },
    });
    expect(members!.body['members']).toMatchObject([
      { household: 'a', activeFrom: '2026-06-01T10:00:00Z' },
      { household: 'b', activeFrom: '2026-06-01T10:15:00Z' },
    ]);
  });

  test('under chaos every message comes twice, and still before the clock moves on', async () => {
    const run = await replay('--chaos', 'duplicate,shuffle');
    expect(run.readings).toBe(12);
    expect(service.readings).toHaveLength(24);
    expectClockToWait();
  });
});

describe('the simulated street', () => {
  function streetRun(stop: AbortSignal, ...args: string[]): StreetRun {
    const options = parseSimulateOptions(
      ['--data-dir', folder, '--households', '5', '--seconds-per-slot', '0', '--quiet', ...args],
      {},
    ) as SimulateOptions;
    const whereabouts = new ServiceWhereabouts(options);
    const tell = () => undefined;
    const patience = new Patience(stop, { tell, lookAgain: () => whereabouts.look() });
    const homes = neighborhood(options.seed, options.households);
    return new StreetRun(options, homes, whereabouts, tell, patience);
  }

  async function simulate(...args: string[]) {
    const run = streetRun(new AbortController().signal, ...args);
    try {
      await run.prepare();
      await run.play();
    } finally {
      await run.close();
    }
    return run.counts();
  }

  test('enrols itself, reads every five minutes and at every border, and learns from settlements', async () => {
    const counts = await simulate('--until', '2026-06-01T11:00:00Z');
    expect(counts).toMatchObject({ from: '2026-06-01T10:00:00Z', until: '2026-06-01T11:00:01Z' });
    expectClockToWait();
    expectRegistersToRise();
    const ofOne = service.readings.filter(({ topic }) => topic.includes('house-01-grid'));
    expect(ofOne.map(({ at }) => (at / 60_000) % 60)).toEqual([
      0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 0,
    ]);
    expect(service.readings.every(({ topic, username }) => topic.split('/')[3] === username)).toBe(
      true,
    );
    expect(service.limits.size).toBe(5);
    expect(counts.settlements).toBeGreaterThan(0);
    expect(counts.planChanges).toBeGreaterThan(0);
    for (const file of ['demo-logins.json', 'simulator-state.json']) {
      expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600);
    }
  });

  test('has a reward program that everybody joins, and that is run for every settled hour', async () => {
    await simulate('--until', '2026-06-01T12:20:00Z');
    const [founded, ...more] = service.rewards;
    expect(founded).toMatchObject({
      path: '/v1/regulator/microgrids/street/programs',
      body: { program: 'neighbors', rateMicroPerKwh: 20_000 },
    });
    const joined = more.filter(({ path }) => path.startsWith('/v1/households/'));
    expect(joined.map(({ body }) => body)).toEqual(
      Array.from({ length: 5 }, () => ({ program: 'neighbors', consent: true })),
    );
    const runs = more.filter(({ path }) => path.endsWith('/runs'));
    expect(runs.map(({ body }) => body)).toEqual([
      { from: '2026-06-01T10:00:00Z', to: '2026-06-01T11:00:00Z' },
      { from: '2026-06-01T11:00:00Z', to: '2026-06-01T12:00:00Z' },
    ]);
  });

  test('goes on exactly where it stood when it is started again', async () => {
    await simulate('--until', '2026-06-01T10:30:00Z');
    const enrolments = service.enrolled.length;
    await simulate('--until', '2026-06-01T11:00:00Z');
    expect(service.enrolled).toHaveLength(enrolments);
    expectRegistersToRise();
    const instants = new Set(service.readings.map(({ at }) => at));
    expect(instants.size).toBe(13);
  });

  test('survives a restart of the service on other ports', async () => {
    const running = simulate('--until', '2026-06-01T14:00:00Z');
    while (service.readings.length < 100) await new Promise((next) => setTimeout(next, 20));
    await service.restart();
    await running;
    expectRegistersToRise();
    expect(new Set(service.readings.map(({ at }) => at)).size).toBe(49);
  });

  test('stops when it is told to, in the middle of anything', async () => {
    const stop = new AbortController();
    const run = streetRun(stop.signal);
    const playing = run.prepare().then(() => run.play());
    while (service.readings.length < 50) await new Promise((next) => setTimeout(next, 20));
    stop.abort();
    await expect(playing).rejects.toThrow();
    await run.close();
  });

  test('on the system clock it joins in the running slot and catches up with now', async () => {
    await service.stop();
    service = new FakeService(folder, 'system');
    await service.start();
    const stop = new AbortController();
    const run = streetRun(stop.signal);
    const playing = run.prepare().then(() => run.play());
    const caughtUp = () => service.readings.some(({ at }) => at > Date.now() - 60_000);
    while (!caughtUp()) await Promise.race([playing, new Promise((next) => setTimeout(next, 20))]);
    stop.abort();
    await expect(playing).rejects.toThrow();
    await run.close();
    expect(service.limits.size).toBe(5);
    expect(service.readings[0]!.at % 900_000).toBe(0);
    expect(service.readings.every(({ at }) => at <= Date.now() && at % 60_000 === 0)).toBe(true);
    expectRegistersToRise();
  });

  test('refuses to let registers fall when its state is gone', async () => {
    await simulate('--until', '2026-06-01T10:30:00Z');
    await rm(join(folder, 'simulator-state.json'));
    await expect(simulate('--until', '2026-06-01T11:00:00Z')).rejects.toThrow(
      'registers would fall',
    );
  });

  test('refuses another seed and another number of households', async () => {
    await simulate('--until', '2026-06-01T10:15:00Z');
    await expect(simulate('--seed', '2')).rejects.toThrow('--seed 1');
    await expect(simulate('--households', '6')).rejects.toThrow('pass --households 5');
  });

  test('says which file is damaged', async () => {
    await simulate('--until', '2026-06-01T10:15:00Z');
    const file = join(folder, 'simulator-state.json');
    expect(await readFile(file, 'utf8')).toContain('house-05');
    await chmod(file, 0o600);
    const { writeFile } = await import('node:fs/promises');
    await writeFile(file, '{"seed":');
    await expect(simulate()).rejects.toThrow('simulator-state.json cannot be used');
  });
});

describe('command lines', () => {
  test.each([
    [[], '--file is missing'],
    [['--file', 'x', '--strategy', 'zi'], '--strategy zi is not available; choose from fixed'],
    [['--file', 'x', '--gate-closure', '-1'], 'argument'],
    [['--file', 'x', '--gate-closure', '1.5'], '--gate-closure must be a whole number'],
    [['--file', 'x', '--mechanism', 'barter'], 'barter is not available; choose from metered'],
    [['--file', 'x', '--pricing', 'free'], '--pricing free is not available'],
    [['--file', 'x', '--chaos', 'drop'], '--chaos drop is not available'],
    [['--file', 'x', '--slot-minutes', '10'], '--slot-minutes 10 is not available'],
    [['--file', 'x', '--retail', '0.1234567'], '--retail: not an amount'],
    [['--file', 'x', '--retail', '0.04'], '--feed-in must not exceed --retail'],
    [['--file', 'x', '--from', '2026-06-01'], '--from: not an RFC 3339 instant'],
    [
      ['--file', 'x', '--from', '2026-06-02T00:00:00Z', '--to', '2026-06-02T00:00:00Z'],
      '--from must be before --to',
    ],
    [['--file', 'x', '--bogus'], 'bogus'],
  ])('replay %j is refused', (args, reason) => {
    expect(() => parseReplayOptions(args)).toThrow(reason);
  });

  test.each([
    [['--households', '0'], '--households must be a whole number from 1 to 500'],
    [['--households', '2.5'], '--households'],
    [['--seconds-per-slot', 'x'], '--seconds-per-slot must be a number'],
    [['--step-minutes', '4'], '--step-minutes'],
    [['--day', '2026-02-31'], '--day'],
    [['--microgrid', 'a b'], '--microgrid'],
  ])('simulate %j is refused', (args, reason) => {
    expect(() => parseSimulateOptions(args, {})).toThrow(reason);
  });
});
