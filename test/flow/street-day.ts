import { readFile } from 'node:fs/promises';
import { stepBattery, type Battery } from '../../simulator/battery.js';
import { readCsv } from '../../simulator/csv.js';
import { splitIntervals } from '../../simulator/measured-street.js';
import { randomFrom } from '../../simulator/random.js';
import { advanceRegisters, netFlow, ZERO_REGISTERS } from '../../simulator/registers.js';
import {
  formatInstant,
  parseInstant,
  type Instant,
  type SlotMinutes,
} from '../../src/units/slot.js';
import { sharedFile } from '../support/shared.js';
import type { AheadOrder, Message, StreamedStreet } from './stream.js';

/**
 * One day of a street with roofs and batteries: what its meters show at the borders of its slots, from
 * measured load and generation where they are at hand, and what its households offered one another
 * the evening before. The same seed, the same day, under whatever name and date the street has it.
 */

/** Hours as the data have them; with DAY_SLOT_MINUTES=15 a longer run. */
const SLOT_MINUTES = Number(process.env['DAY_SLOT_MINUTES'] ?? 60) as SlotMinutes;

/** Slots of the day. */
export const SLOTS = (24 * 60) / SLOT_MINUTES;

interface Home {
  home: string;
  /** Whether a meter of its own counts what the roof generates. */
  counted: boolean;
  battery: Battery | null;
}

const SMALL = { usableWh: 3_000, powerW: 1_500 };
const LARGE = { usableWh: 9_000, powerW: 4_000 };

/** Of the measured homes those whose data show no fault. With them, twenty meters. */
const HOMES: readonly Home[] = [
  { home: 'h01', counted: true, battery: LARGE },
  { home: 'h02', counted: true, battery: null },
  { home: 'h03', counted: true, battery: SMALL },
  { home: 'h08', counted: true, battery: null },
  { home: 'h09', counted: false, battery: null },
  { home: 'h10', counted: true, battery: null },
  { home: 'h11', counted: true, battery: LARGE },
  { home: 'h13', counted: true, battery: null },
  { home: 'h16', counted: true, battery: null },
];

/** What a home used and generated in each slot. */
interface Flows {
  loadWh: readonly number[];
  pvWh: readonly number[];
}

export type StreetFlows = ReadonlyMap<string, Flows>;

/** Measured in Fontana, California, in the night, the day and the night of 15 May 2017. */
export async function streetFlows(seed: string): Promise<StreetFlows> {
  const file = sharedFile('data/citylearn2022_load_pv_hourly.csv');
  if (file === null) return new Map(HOMES.map(({ home }) => [home, invented(`${seed}/${home}`)]));
  const from = parseInstant('2017-05-15T07:00:00Z');
  const to = from + 86_400_000;
  const households = HOMES.map(({ home }) => home);
  const outcome = readCsv(await readFile(file, 'utf8'), { from, to, households });
  if (!outcome.ok) throw new Error(outcome.errors.join('\n'));
  const street = splitIntervals(outcome.street, SLOT_MINUTES);
  const whole = (values: readonly (number | null)[]) => values.map((wh) => wh ?? 0);
  return new Map(
    street.households.map(({ household, loadWh, pvWh }) => [
      household,
      { loadWh: whole(loadWh), pvWh: whole(pvWh) },
    ]),
  );
}

/** The street under a name of its own, its first slot at `startsAt`. */
export function streetOf(microgrid: string, startsAt: Instant, mechanism: string): StreamedStreet {
  return {
    microgrid,
    founding: { startsAt, mechanism, slotMinutes: SLOT_MINUTES, gateClosureSeconds: 900 },
    members: HOMES.map((home) => ({
      household: `${microgrid}-${home.home}`,
      meters: metersOf(microgrid, home),
    })),
  };
}

/** What every meter shows at each border: one more than there are slots. */
export function readingsOf(
  microgrid: string,
  startsAt: Instant,
  flows: StreetFlows,
): (readonly Message[])[] {
  const borders = Array.from({ length: SLOTS + 1 }, (): Message[] => []);
  for (const home of HOMES) {
    const { loadWh, pvWh } = flows.get(home.home)!;
    let registers = ZERO_REGISTERS;
    // The evening before had left something in it.
    let charge = { chargeWh: Math.floor((home.battery?.usableWh ?? 0) / 3), restPermille: 0 };
    borders.forEach((border, index) => {
      if (index > 0) {
        const [load, pv] = [loadWh[index - 1]!, pvWh[index - 1]!];
        const step = home.battery
          ? stepBattery(home.battery, charge, PLAN, pv - load, SLOT_MINUTES)
          : { chargedWh: 0, dischargedWh: 0, charge };
        charge = step.charge;
        registers = advanceRegisters(registers, {
          ...netFlow({ inWh: load + step.chargedWh, outWh: pv + step.dischargedWh }),
          generatedWh: pv,
          chargedWh: step.chargedWh,
          dischargedWh: step.dischargedWh,
        });
      }
      const readAt = borderAt(startsAt, index);
      for (const { meter, role } of metersOf(microgrid, home)) {
        border.push({ meter, readAt, ...shown(role, registers) });
      }
    });
  }
  return borders;
}

/** What the households offered ahead: for hours of sun, sun and shade, each at a price of its own. */
export function ordersOf(microgrid: string, startsAt: Instant, seed: string): AheadOrder[] {
  const random = randomFrom(`${seed}/orders`);
  return TRADED_HOURS.flatMap((hour) =>
    HOMES.slice(0, 6).map(({ home }, index): AheadOrder => {
      const sells = index % 2 === 0;
      return {
        household: `${microgrid}-${home}`,
        slot: borderAt(startsAt, atHour(hour)),
        side: sells ? 'ask' : 'bid',
        energyWh: (random.between(400, 3_600) * SLOT_MINUTES) / 60,
        // All trade with one another, and no two name the same price.
        priceMicroPerKwh: (sells ? 60_000 : 220_000) + index * 10_000 + random.between(0, 999),
        delivery: random.between(0, 2) === 0 ? 'firm' : 'delivered',
      };
    }),
  );
}

/** The border before the slot of this place in the day. */
export function borderAt(startsAt: Instant, place: number): Instant {
  return formatInstant(parseInstant(startsAt) + place * SLOT_MINUTES * 60_000);
}

/** The place of the first slot of an hour. */
export function atHour(hour: number): number {
  return (hour * 60) / SLOT_MINUTES;
}

const TRADED_HOURS = [8, 10, 11, 12, 13, 15, 18];

/** Half of the sun is kept, and seven tenths of what lacks is covered. */
const PLAN = { chargePermille: 500, dischargePermille: 700 };

function metersOf(microgrid: string, home: Home) {
  const id = `${microgrid}-${home.home}`;
  return [
    { meter: `${id}-grid`, role: 'grid' },
    ...(home.counted ? [{ meter: `${id}-pv`, role: 'generation' }] : []),
    ...(home.battery
      ? [{ meter: `${id}-battery`, role: 'storage', usableWh: home.battery.usableWh }]
      : []),
  ];
}

function shown(role: string, registers: typeof ZERO_REGISTERS) {
  const { importWh, exportWh, generatedWh, chargedWh, dischargedWh } = registers;
  if (role === 'generation') return { importWh: 0, exportWh: generatedWh };
  return role === 'storage'
    ? { importWh: chargedWh, exportWh: dischargedWh }
    : { importWh, exportWh };
}

/** A day without data: some use at all times, and a sun that clouds hide. */
function invented(seed: string): Flows {
  const random = randomFrom(seed);
  const places = Array.from({ length: SLOTS }, (_, place) => place);
  return {
    loadWh: places.map(() => random.between(2, 40) * SLOT_MINUTES),
    pvWh: places.map((place) => {
      const height = Math.sin(((place / SLOTS - 0.25) / 0.5) * Math.PI);
      return height <= 0 ? 0 : Math.floor(height * random.between(20, 65) * SLOT_MINUTES);
    }),
  };
}
