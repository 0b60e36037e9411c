import { DatabaseService } from '../../src/database/database.service.js';
import { ErasureService, type Erased } from '../../src/erasure.service.js';
import type { Caller } from '../../src/parties/access.decorator.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { Meters } from './meters.js';
import type { Rooms } from './rooms.js';

/**
 * Half a day of three homes, of which one moves out: it sold, bought and stored, was late and was
 * corrected, joined a program and was awarded. A day later, when nothing of it can be corrected any
 * more, it may be erased.
 */
export interface Place {
  microgrid: string;
  mechanism: 'metered' | 'call-auction' | 'continuous';
  /** The households, of which the first one leaves. */
  gone: string;
  stays: [string, string];
}

export const YARD: Place = {
  microgrid: 'yard',
  mechanism: 'metered',
  gone: 'y-gone',
  stays: ['y-left', 'y-right'],
};

export const MEWS: Place = {
  microgrid: 'mews',
  mechanism: 'call-auction',
  gone: 'm-gone',
  stays: ['m-left', 'm-right'],
};

/** Its orders meet the moment they come, from both sides, and the last of them are dropped. */
export const LANE: Place = {
  microgrid: 'lane',
  mechanism: 'continuous',
  gone: 'l-gone',
  stays: ['l-left', 'l-right'],
};

/** What tells who they were, and is to be found nowhere afterwards. */
export const ALIAS = 'The Gardeners of Number 7';
export const PERSON = 'greta-gardener';

const at = (time: string, day = 1): string => `2026-06-0${day}T${time}:00Z`;

/** Until the slot's end: what the one that leaves generates, stores and takes, and what the others do. */
const SLOTS: [
  end: string,
  own: [sun: number, battery: number, use: number],
  others: [number, number],
][] = [
  ['08:00', [1_900, 0, 300], [700, 500]],
  ['09:00', [1_500, 800, 250], [300, 200]],
  ['10:00', [0, -500, 900], [-700, 150]],
  ['11:00', [600, -200, 100], [400, 350]],
];

export async function tellLeaving(rooms: Rooms, place: Place): Promise<void> {
  const { microgrid, gone, stays } = place;
  const [left, right] = stays;
  await found(rooms, place);
  const meters = new Meters(rooms, microgrid);
  const all = [`${gone}-grid`, `${gone}-pv`, `${gone}-bat`, `${left}-grid`, `${right}-grid`];
  // Before anything flowed, all the meters send the same bytes.
  for (const meter of all) await meters.read(meter, at('07:00'));
  if (place.mechanism !== 'metered') await placeOrders(rooms, place);
  for (const [end, [sun, battery, use], others] of SLOTS) {
    const net = use + battery - sun;
    meters.flow(`${gone}-grid`, Math.max(net, 0) + 0.125, Math.max(-net, 0));
    meters.flow(`${gone}-pv`, 0, sun);
    meters.flow(`${gone}-bat`, Math.max(battery, 0), Math.max(-battery, 0));
    stays.forEach((one, place_) => {
      const wh = others[place_]!;
      meters.flow(`${one}-grid`, Math.max(wh, 0), Math.max(-wh, 0));
    });
    await rooms.clock.advance(rooms.database, at(end));
    const late = end === '09:00' ? `${gone}-pv` : end === '11:00' ? `${right}-grid` : '';
    for (const meter of all) if (meter !== late) await meters.read(meter, at(end), 77);
    await rooms.slots.advance(late === '' ? at(end) : at(end).replace(':00:00Z', ':06:00Z'));
    if (late !== '') await meters.read(late, at(end), 77);
  }
  await meters.publish(`${gone}-grid`, `{"readAt":"${at('11:00')}","importWh":47114711}`);
  await meters.publish(`${gone}-grid`, '{"readAt":"nonsense"}');
  await rooms.database.transaction((sql) =>
    rooms.parties.moveOut(sql, microgrid, gone, at('12:00'), 'otto'),
  );
  await rooms.slots.advance(at('12:06'));
  if (place.mechanism === 'metered') {
    const run = { from: at('07:00'), to: at('12:00') };
    const { outcome } = await rooms.awards.run(microgrid, 'green', run, 'regina');
    if (outcome !== 'accepted') throw new Error(outcome);
  }
  await rooms.clock.advance(rooms.database, at('12:06'));
}

/** Settles on until nothing can be corrected any more. */
export async function waitForFinality(rooms: Rooms): Promise<void> {
  await rooms.clock.advance(rooms.database, at('12:06', 2));
  await rooms.slots.advance(at('12:06', 2));
}

/** Erases as `operator erase` does. */
export async function erase(rooms: Rooms, household: string, dryRun = false): Promise<Erased> {
  return withErasure(rooms, (erasure) =>
    erasure.erase(household, 'operator', (sql) => rooms.clock.now(sql), { dryRun }),
  );
}

export async function withErasure<T>(
  rooms: Rooms,
  work: (erasure: ErasureService) => Promise<T>,
): Promise<T> {
  const database = await DatabaseService.open({
    url: rooms.eraserUrl,
    role: 'eraser',
    poolSize: 1,
  });
  try {
    return await work(new ErasureService(database, rooms.ledger));
  } finally {
    await database.close();
  }
}

async function placeOrders({ orders }: Rooms, { mechanism, ...place_ }: Place): Promise<void> {
  const { microgrid, gone, stays } = place_;
  const [left, right] = stays;
  let keys = 0;
  const place = async (
    household: string,
    slot: string,
    side: 'bid' | 'ask',
    energyWh: number,
    priceMicroPerKwh: number,
    timeInForce?: 'ioc' | 'fok',
  ) => {
    const delivery = slot === '10:00' ? ('firm' as const) : ('delivered' as const);
    const request = {
      microgrid,
      household,
      slot: at(slot),
      side,
      energyWh,
      priceMicroPerKwh,
      delivery,
      ...(timeInForce === undefined ? {} : { timeInForce }),
    };
    const caller = tenantOf(microgrid, household);
    const placed = await orders.placeOrder(caller, request, `${microgrid}-${(keys += 1)}`);
    if (placed.outcome !== 'accepted') throw new Error(`${household}: ${placed.outcome}`);
    return { caller, id: placed.order.id };
  };
  await place(gone, '08:00', 'ask', 1_000, 90_000);
  await place(left, '08:00', 'bid', 800, 250_000);
  await place(right, '08:00', 'bid', 600, 200_000);
  await place(gone, '09:00', 'bid', 400, 260_000);
  await place(left, '09:00', 'ask', 700, 80_000);
  await place(right, '09:00', 'bid', 100, 240_000);
  await place(right, '10:00', 'bid', 100, 240_000);
  await place(gone, '10:00', 'ask', 150, 70_000);
  const taken = await place(gone, '10:00', 'ask', 50, 75_000);
  await orders.cancelOrder(taken.caller, taken.id);
  // A gate without it is cleared again in full.
  await place(right, '13:00', 'bid', 100, 240_000);
  await place(left, '13:00', 'ask', 100, 140_000);
  if (mechanism !== 'continuous') return;
  await place(right, '11:00', 'ask', 100, 90_000);
  await place(left, '11:00', 'bid', 150, 120_000, 'fok');
  await place(gone, '11:00', 'bid', 30, 120_000);
  await place(left, '11:00', 'bid', 150, 120_000, 'ioc');
  await place(right, '11:00', 'bid', 80, 110_000);
  await place(gone, '11:00', 'ask', 20, 110_000);
  // Its own older order gives way, and one of the others meets what is left.
  await place(right, '11:00', 'ask', 90, 60_000);
  await place(left, '11:00', 'bid', 40, 150_000);
}

function tenantOf(microgridId: string, householdId: string): Caller {
  const grant = { microgridId, householdId, validFrom: at('06:00'), validUntil: null };
  return {
    personId: `tenant-${householdId}`,
    sessionId: 'a-session',
    expiresAt: '2099-01-01T00:00:00Z',
    mustChangePassword: false,
    grants: [{ role: 'household', ...grant }],
  };
}

async function found(rooms: Rooms, { microgrid, mechanism, gone, stays }: Place): Promise<void> {
  const { database, parties, people, settlement, rewards } = rooms;
  const person = microgrid === 'yard' ? PERSON : `tenant-${gone}`;
  await database.transaction(async (sql) => {
    await parties.createMicrogrid(
      sql,
      {
        microgrid,
        name: `The ${microgrid}`,
        currency: 'EUR',
        slotMinutes: 60,
        mechanism,
        correctionDays: 1,
        creditLimitMicro: 50_000,
        startsAt: at('07:00'),
        tariff: {
          bands: [
            {
              fromMinute: 0,
              retailMicroPerKwh: 300_000,
              feedInMicroPerKwh: 50_000,
              gridFeeMicroPerKwh: 10_000,
            },
          ],
        },
      },
      'otto',
    );
    const members = [
      {
        household: gone,
        alias: `${ALIAS} in the ${microgrid}`,
        importLimitW: 11_111,
        creditLimitMicro: 70_000,
        meters: [
          { meter: `${gone}-grid`, role: 'grid' as const },
          { meter: `${gone}-pv`, role: 'generation' as const },
          { meter: `${gone}-bat`, role: 'storage' as const, usableWh: 3_000 },
        ],
      },
      ...stays.map((household) => ({
        household,
        meters: [{ meter: `${household}-grid`, role: 'grid' as const }],
      })),
    ];
    await parties.enrolMembers(sql, microgrid, { members }, 'otto');
    for (const [who, households] of [
      [person, [gone]],
      [`tenant-${stays[0]}`, [stays[0]]],
      // Somebody who also looks after another home.
      [`keeper-${microgrid}`, [gone, stays[1]]],
    ] as [string, string[]][]) {
      const grants = households.map((household) => ({
        role: 'household' as const,
        microgrid,
        household,
      }));
      await people.createPerson(sql, { person: who, name: `Name of ${who}`, grants }, COMMAND_LINE);
    }
    if (mechanism === 'metered') {
      await people.createPerson(
        sql,
        { person: 'regina', name: 'A regulator', grants: [{ role: 'regulator', microgrid }] },
        COMMAND_LINE,
      );
    }
  });
  const home = async (id: string) => (await parties.householdOf(database, id))!;
  for (const id of [gone, ...stays]) {
    const deposit = {
      direction: 'deposit' as const,
      amountMicro: 900_000,
      reference: `open-${id}`,
    };
    await settlement.deposit(await rooms.microgrid(microgrid), await home(id), deposit);
  }
  if (mechanism !== 'metered') return;
  const program = { microgrid, program: 'green', name: 'Green', indicator: 'neighbor-claimed' };
  await rewards.createProgram(
    { ...program, indicator: 'neighbor-claimed', rateMicroPerKwh: 50_000, fundMicro: 900_000 },
    'regina',
  );
  await rewards.join(gone, 'green', PERSON);
  await rewards.join(stays[0], 'green', `tenant-${stays[0]}`);
  await rooms.market.setLimits(await rooms.microgrid(microgrid), await home(gone), {
    sellAboveMicroPerKwh: 60_000,
    buyBelowMicroPerKwh: 270_000,
  });
}
