import type { RecordDraft } from '../../src/ledger/record.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { START } from './feed-app.js';

/** Records as the other rooms write them. */

const SLOT_MILLIS = 15 * 60_000;

export const slotAt = (index: number): string =>
  formatInstant(parseInstant(START) + index * SLOT_MILLIS);

function draft(
  kind: RecordDraft['kind'],
  at: string,
  cause: string,
  keyHolder: string,
  households: string[],
  facts: RecordDraft['facts'],
): RecordDraft {
  return { kind, at, cause, keyHolder, households, facts, transfers: [] };
}

export function settlementFacts(household: string, slot: string) {
  return {
    household,
    slot,
    producedWh: 900,
    consumedWh: 0,
    selfWh: 0,
    fromNeighborsWh: 0,
    toNeighborsWh: 600,
    fromGridWh: 0,
    toGridWh: 300,
    imbalanceWh: 300,
    netMicro: 87_000,
    currency: 'EUR',
    quality: 'measured',
    tariffMicro: 45_000,
  };
}

export function householdSlot(household: string, index: number): RecordDraft {
  const slot = slotAt(index);
  return draft(
    'household-slot',
    slotAt(index + 1),
    `slot/${slot}/household/${household}`,
    household,
    [household],
    {
      household,
      slot,
      slotEnd: slotAt(index + 1),
      registers: [],
      settlement: settlementFacts(household, slot),
    },
  );
}

export function trade(seller: string, buyer: string, index: number, number = 1): RecordDraft {
  const slot = slotAt(index);
  return draft('trade', slotAt(index + 1), `slot/${slot}/trade/${number}`, '', [buyer, seller], {
    slot,
    number,
    trade: number.toString(16).padStart(32, '0'),
    buyer,
    seller,
    energyWh: 600,
    settledWh: 600,
    claimedWh: 600,
    buyerPriceMicroPerKwh: 130_000,
    sellerPriceMicroPerKwh: 120_000,
    costMicro: 78_000,
    proceedsMicro: 72_000,
    firm: false,
  });
}

export function slotClosed(index: number): RecordDraft {
  const slot = slotAt(index);
  return draft('slot-closed', slotAt(index + 1), `slot/${slot}/closed`, '', [], {
    slot,
    slotEnd: slotAt(index + 1),
    households: 3,
    trades: 1,
    tradedWh: 600,
    clearingPriceMicroPerKwh: 120_000,
    'supply.PRODUCTION': { before: 0, minted: 900, retired: 900, after: 0 },
  });
}

/** A whole slot: three settlements, a trade from h01 to h02, the close. */
export function slotRecords(index: number): RecordDraft[] {
  return [
    ...['h01', 'h02', 'h03'].map((household) => householdSlot(household, index)),
    trade('h01', 'h02', index),
    slotClosed(index),
  ];
}

export function order(
  household: string,
  number: number,
  action: 'placed' | 'cancelled' = 'placed',
) {
  const id = number.toString(16).padStart(32, '0');
  return draft('order', START, `order/${id}/${action}`, household, [household], {
    action,
    order: id,
    household,
    slot: slotAt(8),
    side: 'ask',
    energyWh: 500,
    priceMicroPerKwh: 110_000,
    delivery: 'delivered',
  });
}

export function gate(index: number): RecordDraft {
  const slot = slotAt(index);
  return draft('gate', slot, `gate/${slot}`, '', ['h01', 'h02', 'h03'], {
    slot,
    clearingPriceMicroPerKwh: 120_000,
    tradedWh: 600,
    orders: [
      { order: 'a1', household: 'h01', status: 'filled', filledWh: 600 },
      { order: 'b1', household: 'h02', status: 'partly-filled', filledWh: 600 },
      { order: 'c1', household: 'h03', status: 'unfilled', filledWh: 0 },
    ],
    trades: [
      {
        number: 1,
        trade: 't1',
        buyer: 'h02',
        seller: 'h01',
        energyWh: 600,
        buyerPriceMicroPerKwh: 130_000,
        sellerPriceMicroPerKwh: 120_000,
        firm: false,
      },
    ],
  });
}

export function correction(household: string, index: number, revision = 1): RecordDraft {
  const slot = slotAt(index);
  const before = settlementFacts(household, slot);
  return draft(
    'correction',
    slotAt(index + 10),
    `slot/${slot}/revision/${revision}/household/${household}`,
    household,
    [household],
    { slot, revision, household, before, after: { ...before, toGridWh: 400, netMicro: 92_000 } },
  );
}

export function award(household: string, from: number): RecordDraft {
  return draft('award', slotAt(from + 20), `award/${household}/${from}`, household, [household], {
    program: 'solar',
    household,
    pseudonym: `pseudonym-of-${household}`.replace(household, 'someone'),
    periodFrom: slotAt(from),
    periodTo: slotAt(from + 10),
    claimedWh: 600,
    rateMicroPerKwh: 10_000,
    amountMicro: 6_000,
    currency: 'EUR',
  });
}

export function deposit(household: string, number: number): RecordDraft {
  return draft('deposit', START, `deposit/${number}`, household, [household], {
    household,
    direction: 'deposit',
    amountMicro: 5_000_000,
    currency: 'EUR',
    reference: `transfer ${number}`,
  });
}
