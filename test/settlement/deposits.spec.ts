import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { walletOf } from '../../src/ledger/accounts.js';
import type { DepositRequest } from '../../src/settlement/settlement.service.js';
import { openStreet, type Street } from './street.js';

let street: Street;
beforeEach(async () => {
  const households = { A: {}, B: {} };
  street = await openStreet({ households, mechanism: 'call-auction', creditLimitMicro: 500_000 });
});
afterEach(() => street.close());

async function book(
  direction: DepositRequest['direction'],
  amountMicro: number,
  reference: string,
  household = 'A',
) {
  const { settlement, microgrid, householdOf } = street;
  const request = { direction, amountMicro, reference };
  return settlement.deposit(microgrid, await householdOf(household), request);
}

async function wallet(): Promise<number> {
  const { ledger, database } = street;
  const balance = (await ledger.balances(database, 'street', [walletOf('A')])).get(walletOf('A'));
  return balance ? balance.creditsPosted - balance.debitsPosted : 0;
}

describe('money from outside', () => {
  test('is booked once a reference, whatever is repeated', async () => {
    expect(await book('deposit', 100, 'bank 1')).toBe('booked');
    expect(await book('deposit', 100, 'bank 1')).toBe('already_booked');
    expect(await book('deposit', 101, 'bank 1')).toBe('other_deposit');
    expect(await book('payout', 100, 'bank 1')).toBe('other_deposit');
    expect(await book('deposit', 100, 'bank 2')).toBe('booked');
    expect(await book('deposit', 7, 'bank 1', 'B')).toBe('booked');
    expect(await wallet()).toBe(200);
    expect(await street.records(['deposit'])).toHaveLength(3);
    expect(await street.faults()).toEqual([]);
  });

  test('is booked once by twenty clients that send the same', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => book('deposit', 100, 'bank 1')),
    );
    expect(outcomes.filter((outcome) => outcome === 'booked')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'already_booked')).toHaveLength(19);
    expect(await wallet()).toBe(100);
  });
});

describe('a payout', () => {
  test('gives what the wallet has, and no credit', async () => {
    expect(await book('payout', 1, 'out 0')).toBe('exceeds_balance');
    await book('deposit', 100, 'in');
    expect(await book('payout', 101, 'out 1')).toBe('exceeds_balance');
    expect(await book('payout', 60, 'out 1')).toBe('booked');
    expect(await book('payout', 60, 'out 1')).toBe('already_booked');
    expect(await book('payout', 41, 'out 2')).toBe('exceeds_balance');
    expect(await book('payout', 40, 'out 2')).toBe('booked');
    expect(await wallet()).toBe(0);
    expect(await street.faults()).toEqual([]);
  });

  test('leaves what an order holds', async () => {
    await book('deposit', 100_000, 'in');
    await street.place('A', 'bid', '10:15', 500, 100_000);
    expect(await book('payout', 50_001, 'out')).toBe('exceeds_balance');
    expect(await book('payout', 50_000, 'out')).toBe('booked');
  });

  test('takes no more than there is when twenty ask at once', async () => {
    await book('deposit', 1_000, 'in');
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, at) => book('payout', 300, `out ${at}`)),
    );
    expect(outcomes.filter((outcome) => outcome === 'booked')).toHaveLength(3);
    expect(await wallet()).toBe(100);
  });
});
