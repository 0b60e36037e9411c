import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IntakeService } from '../../src/metering/intake.service.js';
import { flagsOf, METER_FLAGS, type MeterFlag } from '../../src/metering/meter-flags.js';
import { MeterWatchService, watchedMeters } from '../../src/metering/meter-watch.service.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import type { MarketClockService } from '../../src/parties/market-clock.service.js';
import type { MeterRole } from '../../src/parties/microgrid.js';
import { formatInstant } from '../../src/units/slot.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { enrol } from './street.js';

/**
 * A street of meters of which some deserve a look and some only seem to: for every flag a meter that
 * has it, and for every flag a meter that looks a little like it and must not.
 */

/** Four in the morning: the sun has been down for hours. */
const NOW = Date.UTC(2026, 5, 4, 4);
const SLOT = 900_000;
const HOUR = 3_600_000;

interface Story {
  flags: MeterFlag[];
  role?: MeterRole;
  /** What its household took, or generated where the meter counts that, in one slot of three days. */
  energyWh: (slot: number, sunWh: number) => number;
  quality?: string;
  /** Since when it has been silent. */
  silentMillis?: number;
  /** How long after its latest reading a message comes in, and how many readings are in one. */
  delayMillis?: number;
  readingsAMessage?: number;
  suspects?: { rule: MeterFlag; agoMillis: number }[];
  endedMillis?: number;
}

const evening = (slot: number) => (slot % 96 > 70 ? 90 + ((slot * 31) % 40) : 20 + (slot % 5));

const STORIES: Record<string, Story> = {
  'one like most': { flags: [], energyWh: evening },
  'a small flat that uses 1 kWh a day, evenly': { flags: [], energyWh: () => 10 },
  'a holiday home': { flags: [], energyWh: () => 0 },
  'a holiday home with a router': { flags: [], energyWh: () => 2 },
  'panels at night': { flags: [], role: 'generation', energyWh: (_, sunWh) => sunWh },
  'an inverter that sleeps since dusk': {
    flags: [],
    role: 'generation',
    energyWh: (_, sunWh) => sunWh,
    silentMillis: 9 * HOUR,
  },
  'somebody who works at home': {
    flags: [],
    energyWh: (slot) => (slot % 96 > 32 && slot % 96 < 72 ? 100 : 20) + ((slot * 53) % 90),
  },
  'a gateway that sends an hour at once': {
    flags: [],
    energyWh: evening,
    delayMillis: 4_000,
    readingsAMessage: 4,
  },
  'a clock half a minute slow': { flags: [], energyWh: evening, delayMillis: 30_000 },
  'a leap the day before yesterday': {
    flags: [],
    energyWh: evening,
    suspects: [{ rule: 'beyond_connection', agoMillis: 40 * HOUR }],
  },
  'one that was taken down': {
    flags: [],
    energyWh: () => 0,
    silentMillis: 60 * HOUR,
    endedMillis: 50 * HOUR,
  },
  'estimates that are all alike': { flags: [], energyWh: () => 115, quality: 'estimated' },

  'a dead meter': { flags: ['dead'], energyWh: evening, silentMillis: 25 * HOUR },
  'a gateway that repeats itself': { flags: ['frozen'], energyWh: () => 115 },
  'panels counted as import': {
    flags: ['follows_sun'],
    energyWh: (slot, sunWh) => 20 + (slot % 7) + sunWh,
  },
  'a register that fell': {
    flags: ['falling_register'],
    energyWh: evening,
    suspects: [{ rule: 'falling_register', agoMillis: 3 * HOUR }],
  },
  'a leap and back': {
    flags: ['beyond_connection', 'outlier'],
    energyWh: evening,
    suspects: [
      { rule: 'beyond_connection', agoMillis: 3 * HOUR },
      { rule: 'outlier', agoMillis: 2 * HOUR },
    ],
  },
  'a clock two minutes slow': { flags: ['clock_off'], energyWh: evening, delayMillis: 120_000 },
  'a clock two minutes fast': { flags: ['clock_off'], energyWh: evening, delayMillis: -120_000 },
  'an hour at once, two minutes slow': {
    flags: ['clock_off'],
    energyWh: evening,
    delayMillis: 120_000,
    readingsAMessage: 4,
  },
};

const NAMES = Object.keys(STORIES);
const meterOf = (name: string) => `m${NAMES.indexOf(name)}`;
const clock = { now: async () => formatInstant(NOW), mode: 'system' } as MarketClockService;

let fresh: FreshDatabase;
let metering: MeteringService;

beforeAll(async () => {
  fresh = await freshDatabase();
  metering = new MeteringService(
    new IntakeService(fresh.database, clock, { maxClockAheadSeconds: 300 }),
  );
  await enrol(
    fresh.database,
    'street',
    NAMES.map((name, at) => {
      const { role = 'grid', endedMillis } = STORIES[name]!;
      const ended = endedMillis !== undefined && { activeUntil: formatInstant(NOW - endedMillis) };
      return { meterId: `m${at}`, householdId: `h${at}`, role, ...ended };
    }),
  );
  await live();
});
afterAll(() => fresh.drop());

describe('of this street', () => {
  it.each(Object.entries(STORIES))('%s', async (name, { flags }) => {
    const page = { limit: 100, after: null };
    const meters = await watchedMeters(fresh.database, metering, clock, 'street', page);
    expect(meters.find(({ meter }) => meter === meterOf(name))!.flags).toEqual(flags);
  });

  it('every flag has a meter that has it', () => {
    const shown = new Set(Object.values(STORIES).flatMap(({ flags }) => flags));
    expect([...shown].sort()).toEqual([...METER_FLAGS].sort());
  });

  it('the metrics count the same, anew each hour', async () => {
    const watch = new MeterWatchService(fresh.database, metering, clock);
    const counted = Object.fromEntries(
      METER_FLAGS.map((flag) => [
        flag,
        Object.values(STORIES).filter(({ flags }) => flags.includes(flag)).length,
      ]),
    );
    const both = await Promise.all([1, 2].map(() => watch.flagCounts(['street', 'lane'], 0)));
    expect(both).toEqual([counted, counted]);
    await fresh.asOwner((sql) => sql.query('TRUNCATE suspect_reading'));
    expect(await watch.flagCounts(['street'], HOUR - 1)).toEqual(counted);
    expect(await watch.flagCounts(['street'], HOUR)).toMatchObject({ outlier: 0, frozen: 1 });
    expect(await watch.flagCounts([], HOUR)).toMatchObject({ frozen: 0 });
  });
});

it('a flag is told at its border and not below', () => {
  const figures = {
    silentSeconds: 86_400,
    suspects: {},
    repeatedWh: 24,
    slotMinutes: 15,
    sunCorrelation: 0.79,
    sunnySlots: 48,
    clockBehindSeconds: 60,
  };
  expect(flagsOf(figures)).toEqual([]);
  expect(flagsOf({ ...figures, silentSeconds: 86_401 })).toEqual(['dead']);
  expect(flagsOf({ ...figures, repeatedWh: 25 })).toEqual(['frozen']);
  expect(flagsOf({ ...figures, repeatedWh: 99, slotMinutes: 60 })).toEqual([]);
  expect(flagsOf({ ...figures, repeatedWh: 9, slotMinutes: 5 })).toEqual(['frozen']);
  expect(flagsOf({ ...figures, sunCorrelation: 0.8 })).toEqual(['follows_sun']);
  expect(flagsOf({ ...figures, sunCorrelation: 0.8, sunnySlots: 47 })).toEqual([]);
  expect(flagsOf({ ...figures, clockBehindSeconds: -61 })).toEqual(['clock_off']);
});

/** Three days of everybody's slots, the readings of the last five hours, and what was suspect. */
async function live(): Promise<void> {
  const slots = NAMES.flatMap((name, house) =>
    Array.from({ length: 3 * 96 }, (_, slot) => {
      const quarter = ((NOW - (3 * 96 - slot) * SLOT) / SLOT) % 96;
      const sunWh = quarter >= 32 && quarter < 72 ? 300 + ((slot * 37) % 400) : 0;
      const { role = 'grid', quality = 'measured', energyWh } = STORIES[name]!;
      const wh = energyWh(slot, sunWh);
      const energies = role === 'grid' ? { import: wh, made: 0 } : { import: 0, made: wh };
      return { house, slot, quality, ...energies };
    }),
  );
  await fresh.database.query(
    `INSERT INTO measurement (microgrid_id, slot_start, household_id, sequence, import_wh, export_wh,
       generated_wh, charged_wh, discharged_wh, consumption_wh, unexplained_wh, quality)
     SELECT 'street', $1::timestamptz - (288 - slot) * interval '15 minutes', 'h' || house, 1, import,
       0, made, 0, 0, 0, 0, quality
     FROM unnest($2::int[], $3::int[], $4::int[], $5::int[], $6::text[])
       AS told (house, slot, import, made, quality)`,
    [
      formatInstant(NOW),
      slots.map(({ house }) => house),
      slots.map(({ slot }) => slot),
      slots.map((one) => one.import),
      slots.map(({ made }) => made),
      slots.map(({ quality }) => quality),
    ],
  );
  const readings = NAMES.flatMap((name, house) => {
    const { silentMillis = 0, delayMillis = 2_000, readingsAMessage = 1 } = STORIES[name]!;
    return Array.from({ length: 20 }, (_, back) => {
      const message = Math.floor(back / readingsAMessage);
      const lastAt = NOW - silentMillis - message * readingsAMessage * SLOT;
      return {
        house,
        hash: Buffer.alloc(32, `${house}/${message}/`),
        readAt: formatInstant(NOW - silentMillis - back * SLOT),
        receivedAt: formatInstant(lastAt + delayMillis),
      };
    });
  });
  await fresh.asOwner(async (sql) => {
    await sql.query(
      `INSERT INTO reading_payload (microgrid_id, payload_hash, bytes, received_at)
       SELECT DISTINCT 'street', hash, ''::bytea, received
       FROM unnest($1::bytea[], $2::timestamptz[]) AS told (hash, received)`,
      [readings.map(({ hash }) => hash), readings.map(({ receivedAt }) => receivedAt)],
    );
    await sql.query(
      `INSERT INTO reading (microgrid_id, meter_id, register, read_at, value_wh, payload_hash)
       SELECT 'street', 'm' || house, 'import', read, 1000, hash
       FROM unnest($1::int[], $2::timestamptz[], $3::bytea[]) AS told (house, read, hash)`,
      [
        readings.map(({ house }) => house),
        readings.map(({ readAt }) => readAt),
        readings.map(({ hash }) => hash),
      ],
    );
    for (const [house, name] of NAMES.entries()) {
      for (const { rule, agoMillis } of STORIES[name]!.suspects ?? []) {
        await sql.query(
          `INSERT INTO suspect_reading (microgrid_id, meter_id, register, read_at, rule)
           VALUES ('street', 'm' || $1::int, 'import', $2, $3)`,
          [house, formatInstant(NOW - agoMillis), rule],
        );
      }
    }
  });
}
