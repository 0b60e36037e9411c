import type { Delivery, Side } from '../../src/market/order.js';
import type { Caller } from '../../src/parties/access.decorator.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { Meters } from './meters.js';
import type { Rooms } from './rooms.js';

/**
 * A night of a block of flats under `call-auction`: orders filled, filled in part, left, taken
 * back, kept by a seller and not kept, firm and delivered, and one that is still open at the end.
 */
export const BLOCK = 'block';

const at = (time: string): string => `2026-06-01T${time}:00Z`;

/** Net import (+) or export (−) of each flat in the slot that ends then, in Wh. */
const SLOTS: [end: string, net: [ida: number, jan: number, kim: number, leo: number]][] = [
  ['03:00', [-200, 300, 250, 100]],
  ['04:00', [-700, 450, 400, 120]],
  ['05:00', [-400, 700, 200, 90]],
  ['06:00', [150, 300, 200, 60]],
  ['07:00', [-900, 100, 800, 30]],
  ['08:00', [-100, 50, 80, 20]],
];

const FLATS = ['ida', 'jan', 'kim', 'leo'];

export async function tellBlock(rooms: Rooms): Promise<void> {
  await found(rooms);
  const meters = new Meters(rooms, BLOCK);
  for (const flat of FLATS) await meters.read(`${flat}-grid`, at('02:00'));
  await placeOrders(rooms);
  for (const [end, net] of SLOTS) {
    FLATS.forEach((flat, index) => {
      const wh = net[index]!;
      meters.flow(`${flat}-grid`, Math.max(wh, 0), Math.max(-wh, 0));
    });
    await rooms.clock.advance(rooms.database, at(end));
    const late = end === '05:00' ? 'jan' : null;
    for (const flat of FLATS) if (flat !== late) await meters.read(`${flat}-grid`, at(end));
    await rooms.slots.advance(late ? at('05:05') : at(end));
    if (late) await meters.read(`${late}-grid`, at(end));
  }
}

async function placeOrders(rooms: Rooms): Promise<void> {
  const first = at('03:00');
  await place(rooms, 'ida', first, 'ask', 800, 100_000);
  await place(rooms, 'jan', first, 'bid', 500, 250_000);
  await place(rooms, 'kim', first, 'bid', 500, 200_000);
  await place(rooms, 'leo', first, 'bid', 100, 60_000);
  // Firm on both sides: settled in full, whatever was delivered.
  await place(rooms, 'ida', at('04:00'), 'ask', 600, 90_000, 'firm');
  await place(rooms, 'jan', at('04:00'), 'bid', 600, 260_000, 'firm');
  await place(rooms, 'kim', at('04:00'), 'bid', 90, 255_000, 'delivered');
  // The seller delivers nothing.
  await place(rooms, 'ida', at('05:00'), 'ask', 300, 80_000);
  await place(rooms, 'jan', at('05:00'), 'bid', 300, 240_000);
  await place(rooms, 'leo', at('06:00'), 'bid', 40, 230_000);
  const taken = await place(rooms, 'kim', at('06:00'), 'bid', 700, 220_000);
  await rooms.orders.cancelOrder(tenantOf('kim'), taken);
  await place(rooms, 'ida', at('06:00'), 'ask', 900, 70_000);
  await place(rooms, 'kim', at('06:00'), 'bid', 777, 211_111);
  await place(rooms, 'kim', at('15:00'), 'bid', 250, 200_000);
}

let keys = 0;

async function place(
  { orders }: Rooms,
  household: string,
  slot: string,
  side: Side,
  energyWh: number,
  priceMicroPerKwh: number,
  delivery: Delivery = 'delivered',
): Promise<string> {
  const request = { microgrid: BLOCK, household, slot, side, energyWh, priceMicroPerKwh, delivery };
  const placed = await orders.placeOrder(tenantOf(household), request, `key-${(keys += 1)}`);
  if (placed.outcome !== 'accepted') throw new Error(`order of ${household}: ${placed.outcome}`);
  return placed.order.id;
}

function tenantOf(householdId: string): Caller {
  return {
    personId: `tenant-${householdId}`,
    sessionId: 'a-session',
    expiresAt: '2099-01-01T00:00:00Z',
    mustChangePassword: false,
    grants: [
      {
        role: 'household',
        microgridId: BLOCK,
        householdId,
        validFrom: at('02:00'),
        validUntil: null,
      },
    ],
  };
}

async function found({ database, parties, people, settlement }: Rooms): Promise<void> {
  await database.transaction(async (sql) => {
    await parties.createMicrogrid(
      sql,
      {
        microgrid: BLOCK,
        name: 'A block of flats',
        // The day ends at 03:00 UTC, with the first slot.
        timeZone: 'America/Sao_Paulo',
        currency: 'CHF',
        slotMinutes: 60,
        mechanism: 'call-auction',
        pricing: 'mid-market',
        gateClosureSeconds: 600,
        startsAt: at('02:00'),
        tariff: {
          bands: [
            {
              fromMinute: 0,
              retailMicroPerKwh: 300_000,
              feedInMicroPerKwh: 50_000,
              gridFeeMicroPerKwh: 5_000,
            },
          ],
        },
      },
      'otto',
    );
    const members = FLATS.map((household) => ({
      household,
      meters: [{ meter: `${household}-grid`, role: 'grid' as const }],
    }));
    await parties.enrolMembers(sql, BLOCK, { members }, 'otto');
    for (const household of FLATS) {
      await people.createPerson(
        sql,
        {
          person: `tenant-${household}`,
          name: 'A tenant',
          grants: [{ role: 'household', microgrid: BLOCK, household }],
        },
        COMMAND_LINE,
      );
    }
  });
  const microgrid = (await parties.microgrid(database, BLOCK))!;
  for (const id of FLATS) {
    const household = (await parties.householdOf(database, id))!;
    const request = { direction: 'deposit' as const, amountMicro: 1_000_000, reference: 'opening' };
    await settlement.deposit(microgrid, household, request);
  }
}
