import { SYSTEM, TOKENS, walletOf } from '../../src/ledger/accounts.js';
import { transferId, type RecordDraft } from '../../src/ledger/record.js';
import { sumWh } from '../../src/settlement/claims.js';
import type { SlotInput } from '../../src/settlement/close-slot.js';
import type { Supply } from '../../src/settlement/slot-records.js';
import { Books } from './books.js';
import { rounded } from './naive-slot.js';
import { SLOT } from './random-street.js';

/** Books as they stand before a slot of a random street is closed. */

export const DEPOSIT = 1_000_000_000;

/** Wallets paid in, batteries holding their lots, and every trade made ahead holding its cost. */
export function booksBefore({ terms, households, trades }: SlotInput): Books {
  const books = new Books('street');
  const draft = (cause: string, transfers: RecordDraft['transfers']): RecordDraft => ({
    kind: 'deposit',
    at: SLOT,
    cause,
    keyHolder: '',
    households: [],
    facts: {},
    transfers,
  });
  const ids = new Set([
    ...households.map(({ householdId }) => householdId),
    ...trades.map(({ buyer }) => buyer),
  ]);
  const deposits = [...ids].map((id) => ({
    debit: SYSTEM.bank,
    credit: walletOf(id),
    asset: terms.currency,
    amount: DEPOSIT,
    code: 'deposit',
  }));
  const charged = households
    .filter(({ lots }) => lots.length > 0)
    .map(({ householdId, lots }) => ({
      debit: SYSTEM.issued('STORAGE'),
      credit: `household/${householdId}/storage`,
      asset: 'STORAGE',
      amount: sumWh(lots),
      code: 'mint-storage',
    }));
  const held = trades
    .filter((trade) => worstMicro(trade) > 0)
    .map((trade) => ({
      debit: walletOf(trade.buyer),
      credit: SYSTEM.market,
      asset: terms.currency,
      amount: worstMicro(trade),
      code: 'trade-hold',
      state: 'pending' as const,
    }));
  books.post([draft('before', [...deposits, ...charged]), draft('gate', held)]);
  return books;
}

/** The same slot with the holds that `booksBefore` posted. */
export function withHolds(input: SlotInput): SlotInput {
  let line = 0;
  const trades = input.trades.map((trade) => ({
    ...trade,
    holdId: worstMicro(trade) > 0 ? transferId('street', 'gate', line++) : null,
  }));
  return { ...input, trades };
}

function worstMicro(trade: SlotInput['trades'][number]): number {
  return rounded(trade.energyWh, trade.buyerPriceMicroPerKwh);
}

export function supplyOf(books: Books): Supply {
  const [PRODUCTION, CONSUMPTION, STORAGE] = TOKENS.map((token) => books.circulating(token));
  return { PRODUCTION: PRODUCTION!, CONSUMPTION: CONSUMPTION!, STORAGE: STORAGE! };
}
