import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import { FairnessService } from '../../src/settlement/fairness.service.js';
import { orderFairness, slotFairness } from '../../src/settlement/slot-fairness.js';
import { at, openStreet, type Street, type StreetSetup } from './street.js';

/** Slots explained from what a real street has committed: at gates, one by one, corrected, erased. */

const opened: Street[] = [];

beforeAll(() => Logger.overrideLogger(false));
afterEach(async () => {
  for (const street of opened.splice(0)) await street.close();
});

async function open(setup: StreetSetup) {
  const street = await openStreet(setup);
  opened.push(street);
  const { database, parties, ledger, market, closing, microgrid } = street;
  const service = () => new FairnessService(database, parties, ledger, market, closing);
  const kept = service();
  return {
    ...street,
    /** As one that has told it before says, and one that has not. */
    async explain(slot: string) {
      const told = await kept.explain(microgrid, at(slot));
      expect(await service().explain(microgrid, at(slot))).toEqual(told);
      return told;
    },
    async told(slot: string) {
      const told = await kept.explain(microgrid, at(slot));
      if (told.outcome !== 'explained') throw new Error(told.outcome);
      expect(await service().explain(microgrid, at(slot))).toEqual(told);
      return told.slot;
    },
  };
}

const reasons = (slot: Parameters<typeof orderFairness>[0], household: string) =>
  orderFairness(slot, household).flatMap((order) =>
    order.reasons.map(
      ({ code, energyWh }) => `${order.order === null ? '' : order.side} ${code} ${energyWh}`,
    ),
  );

test('orders made ahead, as soon as their gate has closed', async () => {
  const street = await open({
    households: { A: {}, B: { wallet: 1_000_000 }, C: { wallet: 500_000 }, D: {} },
    mechanism: 'call-auction',
    gridFeeMicroPerKwh: 10_000,
    gateClosureSeconds: 600,
  });
  const { place, advance, explain, told, market, database } = street;
  await place('A', 'ask', '10:30', 1000, 110_000);
  await place('D', 'ask', '10:30', 400, 130_000);
  await place('B', 'bid', '10:30', 800, 200_000);
  await place('C', 'bid', '10:30', 500, 120_000);
  await place('C', 'bid', '10:30', 300, 100_000);
  expect(await explain('10:30')).toEqual({ outcome: 'not_cleared_yet' });
  await advance('10:20');
  const slot = await told('10:30');
  const trades = await market.tradesOf(database, 'street', at('10:30'));
  expect(slotFairness(slot)).toMatchObject({
    basis: 'gate',
    priceMicroPerKwh: trades[0]!.sellerPriceMicroPerKwh,
    priceIntervalMicroPerKwh: [110_000, 110_000],
    tradedWh: 1000,
    // B gains (0.19 − 0.11) × 800 Wh, C nothing.
    welfareMicro: 64_000,
    possibleWelfareMicro: 64_000,
    shareThousandths: 1000,
  });
  expect(slot.at).toBe(at('10:20'));
  expect(reasons(slot, 'C').sort()).toEqual([
    'bid filled 200',
    'bid outbid 300',
    'bid rationed 300',
  ]);
  expect(reasons(slot, 'D')).toEqual(['ask outbid 400']);
  // Closing changes nothing of it.
  await advance('10:50');
  expect(slotFairness(await told('10:30'))).toEqual(slotFairness(slot));
  expect(await told('10:15')).toMatchObject({ book: { orders: [], trades: [] } });
});

test('orders that met one by one, with what all of them together would have made possible', async () => {
  const street = await open({
    households: { A: {}, B: { wallet: 1_000_000 }, C: { wallet: 1_000_000 } },
    mechanism: 'continuous',
  });
  const { place, advance, told } = street;
  // B comes first and buys what C would have paid more for.
  await place('A', 'ask', '10:15', 500, 100_000);
  await place('B', 'bid', '10:15', 400, 150_000);
  await place('C', 'bid', '10:15', 400, 250_000);
  await advance('10:15');
  const slot = await told('10:15');
  expect(slotFairness(slot)).toMatchObject({
    mechanism: 'continuous',
    tradedWh: 500,
    possibleWh: 500,
    // 400 × 0.05 + 100 × 0.15, and at best 400 × 0.15 + 100 × 0.05.
    welfareMicro: 35_000,
    possibleWelfareMicro: 65_000,
    shareThousandths: 538,
  });
  expect(reasons(slot, 'C')).toEqual(['bid filled 100', 'bid not-met 300']);
});

test('a corrected slot, as it counts now', async () => {
  const street = await open({ households: { A: { pv: true }, B: { wallet: 1_000_000 } } });
  const { read, advance, told } = street;
  await read('10:00', { A: { in: 0, out: 0, pv: 0 }, B: { in: 0 } });
  await read('10:15', { A: { in: 0, out: 600, pv: 600 } });
  await read('10:30', { A: { in: 0, out: 600, pv: 600 }, B: { in: 800 } });
  await advance('10:36');
  const before = await told('10:00');
  expect(slotFairness(before)).toMatchObject({ revision: 0, tradedWh: 400 });
  await read('10:15', { B: { in: 700 } });
  await advance('10:51');
  const after = await told('10:00');
  expect(slotFairness(after)).toMatchObject({
    revision: 1,
    tradedWh: 600,
    possibleWh: 600,
    shareThousandths: 1000,
  });
  expect(reasons(after, 'B')).toEqual([' filled 600', ' rationed 100']);
});

test('a slot of an erased household is not told by halves', async () => {
  const street = await open({
    households: { A: { pv: true }, B: { wallet: 1_000_000 }, C: {} },
  });
  const { read, advance, told, explain, asOwner } = street;
  await read('10:00', { A: { in: 0, out: 0, pv: 0 }, B: { in: 0 }, C: { in: 0 } });
  await read('10:15', { A: { in: 0, out: 600, pv: 600 }, B: { in: 800 }, C: { in: 5 } });
  await advance('10:20');
  await told('10:00');
  await asOwner((sql) =>
    sql.query(
      `INSERT INTO erasure (microgrid_id, household_id, sequence)
       SELECT 'street', 'C', max(sequence) FROM record_head WHERE microgrid_id = 'street'`,
    ),
  );
  expect(await explain('10:00')).toEqual({ outcome: 'erased_in_part' });
});
