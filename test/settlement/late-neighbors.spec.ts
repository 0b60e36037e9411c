import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { randomFrom, shuffled } from '../../simulator/random.js';
import { live, notStored, statementOf, summed, TIMES, type Day, type Late } from './late-day.js';
import { openStreet, type Registers, type Street, type StreetSetup } from './street.js';

/**
 * What a late reading means for the neighbors, with orders made ahead: the street ends as if it had
 * come in time, and whose money moved meanwhile is told whose reading it was.
 */

const AHEAD = ['call-auction', 'continuous'] as const;
/** Streets of each mechanism. */
const RUNS = Number(process.env['LATE_RUNS'] ?? 2);

const opened: Street[] = [];

async function open(setup: StreetSetup): Promise<Street> {
  const street = await openStreet(setup);
  opened.push(street);
  return street;
}

beforeAll(() => Logger.overrideLogger(false));
afterEach(async () => {
  for (const street of opened.splice(0)) await street.close();
});

const RICH = { wallet: 1_000_000_000 };

interface Offer {
  household: string;
  slot: string;
  side: 'bid' | 'ask';
  energyWh: number;
  priceMicroPerKwh: number;
  delivery: 'delivered' | 'firm';
}

async function place(street: Street, offers: readonly Offer[]): Promise<void> {
  for (const { household, side, slot, energyWh, priceMicroPerKwh, delivery } of offers) {
    await street.place(household, side, slot, energyWh, priceMicroPerKwh, delivery);
  }
}

type Traded = { buyer: string; seller: string; settledWh: number; firm: boolean };

/** One correction of a slot: who was late, whose money moved by how much, and who traded then. */
interface Corrected {
  slot: string;
  revision: number;
  late: string[];
  moved: { household: string; micro: number }[];
  /** As settled before, and as settled now. */
  trades: Traded[];
}

type HouseholdPart = {
  household: string;
  before: { netMicro: number };
  after: { netMicro: number };
};

async function correctionsOf(street: Street): Promise<Corrected[]> {
  const records = await street.records(['trade', 'correction']);
  const latest = new Map<string, Traded[]>();
  const moved: Corrected['moved'] = [];
  const found: Corrected[] = [];
  for (const { kind, facts } of records) {
    const slot = String(facts['slot']);
    const before = latest.get(slot) ?? [];
    if (kind === 'trade') {
      latest.set(slot, [...before, facts as Traded]);
    } else if ('household' in facts) {
      const part = facts as HouseholdPart;
      const micro = part.after.netMicro - part.before.netMicro;
      if (micro !== 0) moved.push({ household: part.household, micro });
    } else {
      const { revision, late, trades } = facts as Pick<Corrected, 'revision' | 'late' | 'trades'>;
      found.push({ slot, revision, late, moved: moved.splice(0), trades: [...before, ...trades] });
      latest.set(slot, trades);
    }
  }
  return found;
}

/** The households that trades in which energy was settled lead to from these, and they themselves. */
function linked(from: readonly string[], trades: readonly Traded[]): Set<string> {
  const reached = new Set(from);
  for (let size = 0; size !== reached.size;) {
    size = reached.size;
    for (const { buyer, seller, settledWh } of trades) {
      if (settledWh === 0 || !(reached.has(buyer) || reached.has(seller))) continue;
      reached.add(buyer).add(seller);
    }
  }
  return reached;
}

async function expectExplained(street: Street): Promise<void> {
  const households = Object.keys((await street.settled('10:00')) ?? {});
  const lines = new Map(
    await Promise.all(households.map(async (id) => [id, await statementOf(street, id)] as const)),
  );
  for (const { slot, revision, late, moved, trades } of await correctionsOf(street)) {
    expect(late.length).toBeGreaterThan(0);
    const concerned = linked(late, trades);
    for (const { household, micro } of moved) {
      const own = late.includes(household);
      const what = `${household} in ${slot}, revision ${revision}, ${late.join()} late`;
      expect([what, concerned.has(household)]).toEqual([what, true]);
      const withOthers = trades.filter((one) => [one.buyer, one.seller].includes(household));
      // Of firm trades alone nothing moves but for whoever was late.
      if (!own) expect([what, withOthers.some(({ firm }) => !firm)]).toEqual([what, true]);
      const line = lines.get(household)!.find((one) => one.slot === slot)!;
      expect(line.corrections.find((one) => one.revision === revision)).toMatchObject({
        reason: own ? 'own-late-reading' : 'late-reading-of-neighbor',
        neighbors: late.filter((id) => id !== household),
        changedMicro: micro,
      });
    }
  }
}

describe('a late reading of one household', () => {
  /** A, late, is first taken to have sold as much as in the slot before. */
  const slots = (rises: [Record<string, Registers>, Record<string, Registers>]): Day => {
    const none = Object.fromEntries(Object.keys(rises[0]).map((id) => [id, { in: 0, out: 0 }]));
    return summed([...rises, none, none] as Parameters<typeof summed>[0]);
  };
  const late: Late = { 'A@10:30': '10:45' };

  test('moves the money of whoever trades with it, and of whoever has to step in for it', async () => {
    const street = await open({
      households: { A: RICH, B: RICH, C: RICH, D: RICH, E: RICH },
      mechanism: 'call-auction',
    });
    const offer = (
      household: string,
      side: Offer['side'],
      energyWh: number,
      priceMicroPerKwh: number,
    ): Offer => ({
      household,
      side,
      energyWh,
      priceMicroPerKwh,
      slot: '10:15',
      delivery: 'delivered',
    });
    await place(street, [
      offer('A', 'ask', 500, 100_000),
      offer('C', 'ask', 500, 120_000),
      offer('D', 'ask', 100, 130_000),
      offer('B', 'bid', 1_000, 200_000),
      offer('E', 'bid', 100, 190_000),
    ]);
    const used = { B: { in: 600, out: 0 }, C: { in: 0, out: 500 } };
    const apart = { D: { in: 0, out: 100 }, E: { in: 100, out: 0 } };
    const day = slots([
      { A: { in: 0, out: 500 }, ...used, ...apart },
      { A: { in: 0, out: 200 }, ...used, ...apart },
    ]);
    await live(street, day, late);
    const [{ moved, late: who }] = (await correctionsOf(street)) as [Corrected];
    expect(who).toEqual(['A']);
    // At 0.16 between neighbors, 0.05 and 0.30 with the grid: C delivers the 300 Wh that A did not.
    expect(moved).toEqual([
      { household: 'A', micro: -300 * 160 },
      { household: 'C', micro: 300 * (160 - 50) },
    ]);
    await expectExplained(street);
  });

  test('under metered may move the price of the slot, and with it who traded with others', async () => {
    const street = await open({ households: { A: RICH, B: RICH, C: RICH, D: RICH } });
    const used = { B: { in: 500, out: 0 }, C: { in: 0, out: 500 }, D: { in: 600, out: 0 } };
    const day = slots([
      { A: { in: 0, out: 500 }, ...used },
      { A: { in: 0, out: 600 }, ...used },
    ]);
    await live(street, day, late);
    const [{ moved, late: who, trades }] = (await correctionsOf(street)) as [Corrected];
    expect(who).toEqual(['A']);
    // Too little for all of them costs 0.30, enough 0.175. C sells its 500 Wh to D in either case.
    const ofC = trades.filter(({ seller }) => seller === 'C');
    expect(ofC).toMatchObject([1, 2].map(() => ({ buyer: 'D', settledWh: 500 })));
    expect(moved).toEqual([
      { household: 'A', micro: 600 * 175 - 500 * 300 },
      { household: 'B', micro: 500 * (300 - 175) },
      { household: 'C', micro: 500 * (175 - 300) },
      { household: 'D', micro: 600 * (300 - 175) },
    ]);
    await expectExplained(street);
  });
});

const energy = fc.integer({ min: 0, max: 900 });
const home = fc.record({ in: energy, out: energy, pv: energy });
const ids = ['A', 'B', 'C', 'D'];
const step = fc.record(Object.fromEntries(ids.map((id) => [id, home])));
const offers = fc.array(
  fc.record({
    household: fc.constantFrom(...ids),
    slot: fc.constantFrom('10:15', '10:30', '10:45', '11:00'),
    side: fc.constantFrom('bid' as const, 'ask' as const),
    energyWh: fc.integer({ min: 50, max: 900 }),
    priceMicroPerKwh: fc.integer({ min: 60_000, max: 290_000 }),
    delivery: fc.constantFrom('delivered' as const, 'delivered' as const, 'firm' as const),
  }),
  { minLength: 8, maxLength: 24 },
);
const delays = fc.array(
  fc.tuple(fc.constantFrom(...ids), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 })),
  { minLength: 1, maxLength: 8 },
);

test.each(AHEAD)(
  'random orders under %s and readings late in several waves end as if in time',
  async (mechanism) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 6, maxLength: 6 }),
        offers,
        delays,
        fc.string(),
        async (steps, all, delayed, seed) => {
          const late: Late = Object.fromEntries(
            // By the last slot everything has come.
            delayed.map(([id, at, by]) => [`${id}@${TIMES[at]!}`, TIMES[Math.min(at + by, 5)]!]),
          );
          const random = randomFrom(seed);
          const setup: StreetSetup = {
            households: Object.fromEntries(ids.map((id, at) => [id, { ...RICH, pv: at < 2 }])),
            mechanism,
            gridFeeMicroPerKwh: 10_000,
          };
          const day = summed(steps as Parameters<typeof summed>[0]);
          const [inTime, delayedStreet] = [await open(setup), await open(setup)];
          for (const street of [inTime, delayedStreet]) await place(street, onOneSide(all));
          await live(inTime, day);
          await live(delayedStreet, day, late, (together) => shuffled(together, random));
          expect(await delayedStreet.balances(notStored)).toEqual(await inTime.balances(notStored));
          expect([await inTime.faults(), await delayedStreet.faults()]).toEqual([[], []]);
          await expectExplained(delayedStreet);
          for (const street of opened.splice(0)) await street.close();
        },
      ),
      { numRuns: RUNS, endOnFailure: true },
    );
  },
  60_000 + RUNS * 20_000,
);

/** A household buys or sells in a slot: what it offered first there. */
function onOneSide(all: readonly Offer[]): Offer[] {
  const sides = new Map<string, Offer['side']>();
  return all.filter(({ household, slot, side }) => {
    const key = `${household} ${slot}`;
    if (!sides.has(key)) sides.set(key, side);
    return sides.get(key) === side;
  });
}
