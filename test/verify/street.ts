import type { StandingWish } from '../../src/market/limits.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { Meters } from './meters.js';
import { replaceFreds, sayFredsIsReplaced } from './replaced-meter.js';
import type { Rooms } from './rooms.js';

/**
 * Four hours of a street under `metered` in which everything happens that leaves a trace: batteries,
 * changed limits and tariffs, money in and out, late, missing and contradicting readings, a slot set
 * aside, one household that comes and one that goes, meters that begin to sign, and a reward program.
 */
export const STREET = 'street';

/** `at('08:15')` on the day of the story. */
const at = (time: string): string => `2026-06-01T${time}:00Z`;

interface Slot {
  end: string;
  /** Of the house with panels and a battery, in Wh; the battery charges where positive. */
  sun: [use: number, generated: number, battery: number];
  /** What the others took from the grid, or gave where negative, in Wh. */
  net: Record<string, number>;
  /** Meters that say nothing at the end of the slot. */
  silent?: string[];
  /** Between the end of the slot and its close. */
  meanwhile?: (rooms: Rooms, meters: Meters) => Promise<unknown>;
  /** After its close. */
  after?: (rooms: Rooms, meters: Meters) => Promise<unknown>;
}

const SLOTS: Slot[] = [
  {
    end: '08:15',
    sun: [200, 900, 0],
    net: { bert: 300.4, cleo: -120, dora: 150, emil: 80, fred: 60, gerd: 90 },
    after: async (rooms) => {
      await setLimits(rooms, 'bert', 60_000, 260_000);
      await setLimits(rooms, 'bert', 70_000, 250_000, [
        { kind: 'solar', premiumMicroPerKwh: 20_000 },
        { kind: 'neighbor', household: 'cleo', premiumMicroPerKwh: 30_000 },
      ]);
      await pay(rooms, 'bert', 'deposit', 2_000_000, 'first');
      await rooms.rewards.join('bert', 'green', 'tenant-bert');
      await rooms.rewards.join('gerd', 'green', 'tenant-gerd');
      await rooms.rewards.leave('gerd', 'green', 'tenant-gerd');
      await rooms.rewards.join('gerd', 'green', 'tenant-bert');
      await rooms.rewards.join('cleo', 'green', 'tenant-cleo');
    },
  },
  {
    end: '08:30',
    sun: [150, 1000, 700],
    net: { bert: 240, cleo: 100, dora: 50.7, emil: 70, fred: 20, gerd: 110 },
    after: async ({ database, parties, profiles }, meters) => {
      // A device in the place of one that spoke the native format, and a second thought about it.
      for (const unit of ['Wh', 'kWh']) {
        const sources = [{ path: 'Total', register: 'import', unit }] as const;
        const device = { profile: 'tasmota' as const, mapping: { sources } };
        await database.transaction((sql) => profiles.set(sql, STREET, 'emil-grid', device, 'otto'));
      }
      // From the next slot but one the wires count: the east is behind one that soon is full.
      const hub = { node: 'hub', parent: null };
      const east = { node: 'east', parent: 'hub', feeMicroPerKwh: 5_000, capacityDownW: 400 };
      await database.transaction((sql) =>
        parties.addNetwork(sql, STREET, { validFrom: at('08:45'), nodes: [hub, east] }, 'otto'),
      );
      // The same again is a repeat; another value at the same instant contradicts the first.
      await meters.read('fred-grid', at('08:30'), 40);
      meters.flow('fred-grid', 5);
      await meters.read('fred-grid', at('08:30'), 40);
      await meters.publish('fred-grid', '{"readAt":"2026-06-01T08:31:00Z","importWh":-1}');
      // What no register can have shown, and one that fell: neither counts.
      await meters.publish('fred-grid', '{"readAt":"2026-06-01T08:33:00Z","importWh":987654}');
      await meters.publish('fred-grid', '{"readAt":"2026-06-01T08:37:00Z","importWh":0}');
    },
  },
  {
    end: '08:45',
    sun: [100, 600, 300],
    net: { bert: 200, cleo: 60, dora: 80, emil: 90, fred: 45, gerd: 75 },
    after: async (rooms, meters) => {
      await setLimits(rooms, 'sun', 80_000, null);
      const members = [
        {
          household: 'hugo',
          alias: 'Number 8',
          meters: [
            {
              meter: 'hugo-grid',
              role: 'grid' as const,
              profile: 'shelly' as const,
              topic: 'shellies/em-8',
            },
          ],
        },
        {
          household: 'dora',
          activeFrom: at('12:00'),
          meters: [{ meter: 'dora-pv', role: 'generation' as const }],
        },
      ];
      await rooms.database.transaction((sql) =>
        rooms.parties.enrolMembers(sql, STREET, { members }, 'otto'),
      );
      await meters.read('hugo-grid', at('08:45'));
      await meters.read('cleo-grid', at('08:47'), 240);
    },
  },
  {
    end: '09:00',
    sun: [400, 500, 0],
    net: { bert: 180, cleo: 40, dora: 90, emil: 110, fred: 30, gerd: 60, hugo: 0 },
    silent: ['emil-grid'],
    after: async (rooms, meters) => {
      await rooms.rewards.leave('cleo', 'green', 'tenant-cleo');
      await register(rooms, 'bert-grid', meters.signs('bert-grid', 1));
      await register(rooms, 'sun-pv', meters.signs('sun-pv', 2));
    },
  },
  {
    end: '09:15',
    sun: [300, 700, 600],
    net: { bert: 160, cleo: 70, dora: 30, emil: 95, fred: 25, gerd: 85, hugo: 55 },
    silent: ['emil-grid', 'sun-pv'],
    after: async (_, meters) => {
      await meters.read('emil-grid', at('09:15'));
      await meters.read('sun-pv', at('09:15'));
    },
  },
  {
    end: '09:30',
    sun: [100, 700, 0],
    net: { bert: 210, cleo: 30, dora: 40, emil: 60, fred: 15, gerd: 45, hugo: 65 },
    after: async (rooms, meters) => {
      await pay(rooms, 'bert', 'payout', 150_000, 'back');
      await register(rooms, 'bert-grid', meters.signs('bert-grid', 3));
      // Fred's meter breaks; the one in its place has counted before, and nobody says so yet.
      replaceFreds(meters);
    },
  },
  {
    end: '09:45',
    sun: [250, 300, -300],
    net: { bert: 130, cleo: 20, dora: 60, emil: 75, fred: 35, gerd: 25, hugo: 15 },
    after: async (rooms, meters) => {
      await register(rooms, 'dora-grid', meters.signs('dora-grid', 4));
      await rooms.database.transaction((sql) =>
        rooms.parties.moveOut(sql, STREET, 'dora', at('10:00'), 'otto'),
      );
      await sayFredsIsReplaced(rooms, STREET);
    },
  },
  {
    end: '10:00',
    sun: [350, 100, -500],
    net: { bert: 140, cleo: -60, dora: 45, emil: 65, fred: 55, gerd: 35, hugo: 25 },
    after: (rooms) => run(rooms, at('08:00'), at('10:00')),
  },
  {
    end: '10:15',
    sun: [200, 900, 200],
    net: { bert: 320, cleo: 90, emil: 85, fred: -40, gerd: 65, hugo: 75 },
    silent: ['gerd-grid'],
    meanwhile: async (_, meters) => {
      meters.flow('gerd-grid', 12.345678);
      await meters.read('gerd-grid', at('10:18'));
    },
    after: (rooms) =>
      rooms.database.transaction((sql) => rooms.meterKeys.revoke(sql, STREET, 'dora-grid', 'otto')),
  },
  {
    end: '10:30',
    sun: [120, 800, 500],
    net: { bert: 260, cleo: 80, emil: 55, fred: 65, gerd: 105, hugo: 35 },
  },
  {
    // More comes out of the battery than is known to be in it.
    end: '10:45',
    sun: [900, 100, -2600],
    net: { bert: 400, cleo: 110, emil: 45, fred: 75, gerd: 95, hugo: 45 },
  },
  {
    end: '11:00',
    sun: [150, 300, 0],
    net: { bert: 150, cleo: 15, emil: 35, fred: 85, gerd: 55, hugo: 85 },
    after: async (rooms) => {
      await run(rooms, at('10:00'), at('11:00'));
      rooms.closing.brokenSlot = at('11:00');
    },
  },
  {
    end: '11:15',
    // The meters are not in step: more flows out than in.
    sun: [-25, 500, 100],
    net: { bert: 170, cleo: 25, emil: 65, fred: 95, gerd: 15, hugo: 95 },
  },
  {
    end: '11:30',
    sun: [160, 600, 250],
    net: { bert: 190, cleo: 35, emil: 75, fred: 25, gerd: 125, hugo: 55 },
    after: async (rooms) => {
      rooms.closing.brokenSlot = null;
      await rooms.slots.release(await rooms.microgrid(STREET), at('11:00'));
    },
  },
  {
    // What is late now has not been corrected when the story ends.
    end: '11:45',
    sun: [140, 400, -100],
    net: { bert: 230, cleo: 45, emil: 85, fred: 15, gerd: 5, hugo: 65 },
    silent: ['hugo-grid'],
    after: (_, meters) => meters.read('hugo-grid', at('11:44')),
  },
];

export async function tellStreet(rooms: Rooms): Promise<void> {
  await found(rooms);
  const meters = new Meters(rooms, STREET);
  for (const meter of FIRST_METERS) await meters.read(meter, at('08:00'));
  for (const slot of SLOTS) {
    flow(meters, slot);
    await rooms.clock.advance(rooms.database, at(slot.end));
    for (const meter of metersIn(slot)) await meters.read(meter, at(slot.end), 40);
    await slot.meanwhile?.(rooms, meters);
    const graceMillis = slot.silent ? 300_000 : 0;
    await rooms.slots.advance(formatInstant(parseInstant(at(slot.end)) + graceMillis));
    await slot.after?.(rooms, meters);
  }
}

const FIRST_METERS = [
  'sun-grid',
  'sun-pv',
  'sun-bat',
  'bert-grid',
  'cleo-grid',
  'dora-grid',
  'emil-grid',
  'fred-grid',
  'gerd-grid',
];

function metersIn({ net, silent = [] }: Slot): string[] {
  const others = Object.keys(net).map((household) => `${household}-grid`);
  return ['sun-grid', 'sun-pv', 'sun-bat', ...others].filter((meter) => !silent.includes(meter));
}

function flow(meters: Meters, { sun: [use, generated, battery], net }: Slot): void {
  const taken = use + battery - generated;
  meters.flow('sun-grid', Math.max(taken, 0), Math.max(-taken, 0));
  meters.flow('sun-pv', 0, generated);
  meters.flow('sun-bat', Math.max(battery, 0), Math.max(-battery, 0));
  for (const [household, wh] of Object.entries(net)) {
    meters.flow(`${household}-grid`, Math.max(wh, 0), Math.max(-wh, 0));
  }
}

async function found({ database, parties, people, rewards }: Rooms): Promise<void> {
  await database.transaction(async (sql) => {
    await parties.createMicrogrid(
      sql,
      {
        microgrid: STREET,
        name: 'A street',
        timeZone: 'Europe/Berlin',
        currency: 'EUR',
        creditLimitMicro: 40_000,
        startsAt: at('08:00'),
        // The second band begins at 09:30 UTC.
        tariff: { bands: [band(0, 300_000, 50_000, 10_000), band(690, 280_000, 60_000, 0)] },
      },
      'otto',
    );
    await parties.enrolMembers(
      sql,
      STREET,
      { gateways: [{ gateway: 'cellar' }], members: MEMBERS },
      'otto',
    );
    await parties.addTariff(sql, STREET, {
      validFrom: at('10:30'),
      bands: [band(0, 320_000, 40_000, 20_000)],
    });
    for (const household of ['bert', 'cleo', 'gerd']) {
      await people.createPerson(
        sql,
        {
          person: `tenant-${household}`,
          name: 'A tenant',
          grants: [{ role: 'household', microgrid: STREET, household }],
        },
        COMMAND_LINE,
      );
    }
    await people.createPerson(
      sql,
      { person: 'regina', name: 'A regulator', grants: [{ role: 'regulator', microgrid: STREET }] },
      COMMAND_LINE,
    );
  });
  await rewards.createProgram(
    {
      microgrid: STREET,
      program: 'green',
      name: 'Green street',
      indicator: 'neighbor-claimed',
      rateMicroPerKwh: 50_000,
      fundMicro: 900_000,
    },
    'regina',
  );
  await rewards.fundProgram(STREET, 'green', { reference: 'more', amountMicro: 100_000 }, 'regina');
}

const MEMBERS = [
  {
    household: 'sun',
    alias: 'Number 1',
    creditLimitMicro: 500_000,
    meters: [
      { meter: 'sun-grid', role: 'grid' as const },
      { meter: 'sun-pv', role: 'generation' as const },
      { meter: 'sun-bat', role: 'storage' as const, usableWh: 1_900 },
    ],
  },
  {
    household: 'bert',
    feeder: 'east',
    importLimitW: 11_000,
    exportLimitW: 5_000,
    meters: [{ meter: 'bert-grid', role: 'grid' as const }],
  },
  ...['cleo', 'dora', 'emil', 'fred'].map((household) => ({
    household,
    creditLimitMicro: 1_000_000,
    meters: [{ meter: `${household}-grid`, role: 'grid' as const }],
  })),
  // Without credit of its own its wallet runs dry.
  { household: 'gerd', gateway: 'cellar', meters: [{ meter: 'gerd-grid', role: 'grid' as const }] },
];

function band(
  fromMinute: number,
  retailMicroPerKwh: number,
  feedInMicroPerKwh: number,
  gridFeeMicroPerKwh: number,
) {
  return { fromMinute, retailMicroPerKwh, feedInMicroPerKwh, gridFeeMicroPerKwh };
}

async function setLimits(
  { database, parties, market }: Rooms,
  id: string,
  sellAboveMicroPerKwh: number | null,
  buyBelowMicroPerKwh: number | null,
  wishes: StandingWish[] = [],
): Promise<void> {
  const household = (await parties.householdOf(database, id))!;
  const microgrid = (await parties.microgrid(database, STREET))!;
  await market.setLimits(microgrid, household, {
    sellAboveMicroPerKwh,
    buyBelowMicroPerKwh,
    wishes,
  });
}

async function pay(
  { database, parties, settlement }: Rooms,
  id: string,
  direction: 'deposit' | 'payout',
  amountMicro: number,
  reference: string,
): Promise<void> {
  const household = (await parties.householdOf(database, id))!;
  const microgrid = (await parties.microgrid(database, STREET))!;
  const request = { direction, amountMicro, reference };
  const outcome = await settlement.deposit(microgrid, household, request);
  if (outcome !== 'booked') throw new Error(`${direction} of ${id}: ${outcome}`);
}

async function register(
  { database, meterKeys }: Rooms,
  meter: string,
  publicKey: string,
): Promise<void> {
  await database.transaction((sql) =>
    meterKeys.register(sql, STREET, meter, { publicKey }, 'otto'),
  );
}

async function run({ awards }: Rooms, from: string, to: string): Promise<void> {
  const { outcome } = await awards.run(STREET, 'green', { from, to }, 'regina');
  if (outcome !== 'accepted') throw new Error(`run from ${from}: ${outcome}`);
}
