import type { Random } from '../simulator/random.js';
import { SYSTEM, walletOf } from '../src/ledger/accounts.js';
import type { RecordDraft, TransferDraft } from '../src/ledger/record.js';

/** Records as a closed slot makes them: one household's facts, and transfers of money to neighbors. */

export const MICROGRID = 'bench';
export const STARTS = '2026-06-01T10:00:00Z';

export interface Workload {
  name: string;
  transfersARecord: number;
  /** Few: the same accounts over and over. */
  households: number;
}

/** Makes the next `count` records, never with the same cause. */
export function journalDrafts(
  workload: Workload,
  random: Random,
): (count: number, transfersARecord?: number) => RecordDraft[] {
  const { name, households } = workload;
  let made = 0;
  const transfer = (debit: string): TransferDraft => {
    const other = walletOf(householdAt(random.between(0, households - 1)));
    return {
      debit,
      credit: other === debit ? SYSTEM.gridFees : other,
      asset: 'EUR',
      amount: random.between(1, 500_000),
      code: 'trade',
    };
  };
  return (count, transfersARecord = workload.transfersARecord) =>
    Array.from({ length: count }, () => {
      made += 1;
      const household = householdAt(made % households);
      return {
        kind: 'household-slot',
        at: STARTS,
        cause: `${name}/${made}`,
        keyHolder: household,
        households: [household],
        facts: factsOf(household, random),
        transfers: Array.from({ length: transfersARecord }, () => transfer(walletOf(household))),
      };
    });
}

/** One transfer to each household, so that all accounts are open, as they are on a running street. */
export function openingDrafts({ name, households }: Workload): RecordDraft[] {
  const wallets = Array.from({ length: households }, (_, at) => walletOf(householdAt(at)));
  const transfers = wallets.map((wallet) => ({
    debit: SYSTEM.bank,
    credit: wallet,
    asset: 'EUR',
    amount: 1,
    code: 'deposit',
  }));
  const [kind, at, cause] = ['deposit', STARTS, `${name}/opening`] as const;
  return [{ kind, at, cause, keyHolder: '', households: [], facts: {}, transfers }];
}

function householdAt(at: number): string {
  return `h${String(at).padStart(5, '0')}`;
}

function factsOf(household: string, random: Random): RecordDraft['facts'] {
  const energyWh = (): number => random.between(0, 2_000);
  return {
    household,
    slot: STARTS,
    slotEnd: '2026-06-01T10:15:00Z',
    registers: (['import', 'export'] as const).map((register) => ({
      meter: `${household}-grid`,
      role: 'grid',
      register,
      startWh: energyWh(),
      endWh: energyWh(),
      startReadings: ['5f'.repeat(32)],
      endReadings: ['a6'.repeat(32)],
    })),
    energy: { importWh: energyWh(), exportWh: energyWh(), productionWh: energyWh() },
    tariff: { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 20_000 },
    limits: { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null },
    availableMicro: random.between(0, 10_000_000),
    battery: { usableWh: null, before: [], after: [] },
    sources: { own: energyWh(), neighbor: energyWh(), grid: energyWh() },
    settlement: { household, slot: STARTS, producedWh: energyWh(), netMicro: energyWh() },
  };
}
