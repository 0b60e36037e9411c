import { programOf, SYSTEM, walletOf, type AccountTerms } from '../ledger/accounts.js';
import type { RecordDraft } from '../ledger/record.js';
import type { Instant } from '../units/slot.js';
import type { Award, Period } from './awards.js';

/** What rewards write into the journal: funding, consent, runs and awards. */

/** A fund is never overdrawn: the store refuses what it does not cover. */
export function fundTerms(program: string): AccountTerms {
  return { account: programOf(program), limited: true, creditLimit: 0 };
}

export interface ProgramTerms {
  readonly program: string;
  readonly indicator: 'neighbor-claimed';
  readonly rateMicroPerKwh: number;
}

export function programCreated(
  { program, indicator, rateMicroPerKwh }: ProgramTerms,
  by: string,
  at: Instant,
): RecordDraft {
  return {
    kind: 'operator-action',
    at,
    cause: `program/${program}/created`,
    keyHolder: '',
    households: [],
    facts: { action: 'program-created', by, program, indicator, rateMicroPerKwh },
    transfers: [],
  };
}

/** Money from outside into the program's fund. */
export function programFunded(
  funding: { program: string; reference: string; amountMicro: number; currency: string },
  at: Instant,
): RecordDraft {
  const { program, reference, amountMicro, currency } = funding;
  return {
    kind: 'deposit',
    at,
    cause: `program/${program}/funding/${reference}`,
    keyHolder: '',
    households: [],
    facts: { program, direction: 'deposit', amountMicro, currency, reference },
    transfers: [
      {
        debit: SYSTEM.bank,
        credit: programOf(program),
        asset: currency,
        amount: amountMicro,
        code: 'program-fund',
      },
    ],
  };
}

/**
 * A household's consent, or its end, from a slot on.
 * @param sequence the one the record will get, which tells repeated changes apart
 */
export function consentChanged(
  consent: {
    action: 'program-joined' | 'program-left';
    program: string;
    household: string;
    by: string;
    from: Instant;
  },
  sequence: number,
  at: Instant,
): RecordDraft {
  const { action, program, household, by, from } = consent;
  return {
    kind: 'enrolment',
    at,
    cause: `program/${program}/household/${household}/${sequence}`,
    keyHolder: household,
    households: [household],
    facts: { action, program, household, by, from },
    transfers: [],
  };
}

/** One record for the run itself, then one an award, each with its transfer out of the fund. */
export function runRecords(
  terms: ProgramTerms & { currency: string },
  period: Period,
  awards: readonly Award[],
  awardedMicro: number,
  run: { by: string; at: Instant },
): RecordDraft[] {
  const { program, rateMicroPerKwh, currency } = terms;
  const cause = `program/${program}/run/${period.from}`;
  const span = { program, periodFrom: period.from, periodTo: period.to, rateMicroPerKwh, currency };
  return [
    {
      kind: 'operator-action',
      at: run.at,
      cause,
      keyHolder: '',
      households: [],
      facts: {
        action: 'program-run',
        by: run.by,
        ...span,
        awards: awards.length,
        awardedMicro,
      },
      transfers: [],
    },
    ...awards.map(({ householdId, pseudonym, claimedWh, byQuality, amountMicro }): RecordDraft => ({
      kind: 'award',
      at: run.at,
      cause: `${cause}/${householdId}`,
      keyHolder: householdId,
      households: [householdId],
      facts: { ...span, household: householdId, pseudonym, claimedWh, byQuality, amountMicro },
      transfers: [
        {
          debit: programOf(program),
          credit: walletOf(householdId),
          asset: currency,
          amount: amountMicro,
          code: 'award',
        },
      ],
    })),
  ];
}
