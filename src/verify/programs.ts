import { programOf, SYSTEM, walletOf } from '../ledger/accounts.js';
import type { RecordBody, TransferDraft } from '../ledger/record.js';
import { pseudonymOf } from '../rewards/awards.js';
import type { JsonObject } from '../units/canonical-json.js';
import { costMicro } from '../units/money.js';
import type { Instant } from '../units/slot.js';
import type { Findings, Row } from './finding.js';

/** Reward programs and money from outside, kept again from their records. */

interface Program {
  indicator: string;
  rateMicroPerKwh: number;
  sequence: number;
}

export class Programs {
  private readonly programs = new Map<string, Program>();
  private readonly fundings: Row[] = [];
  private readonly members: (Row & { household_id: string; left_at: Instant | null })[] = [];
  private readonly runs: Row[] = [];
  private readonly awards: Row[] = [];

  /** @param keys of the programs' pseudonyms, from the program table */
  constructor(private readonly keys: ReadonlyMap<string, Uint8Array>) {}

  apply(body: RecordBody): void {
    const { facts, sequence } = body;
    const program = String(facts['program']);
    const action = facts['action'];
    if (action === 'program-created') {
      this.programs.set(program, {
        indicator: String(facts['indicator']),
        rateMicroPerKwh: Number(facts['rateMicroPerKwh']),
        sequence,
      });
    }
    if (body.kind === 'deposit' && 'program' in facts) {
      this.fundings.push({
        program_id: program,
        reference: facts['reference'],
        amount_micro: facts['amountMicro'],
        sequence,
      });
    }
    if (action === 'program-joined') this.join(program, facts, sequence);
    if (action === 'program-left') this.leave(program, facts);
    if (action === 'program-run') {
      this.runs.push({
        program_id: program,
        period_from: facts['periodFrom'],
        period_to: facts['periodTo'],
        awarded_micro: facts['awardedMicro'],
        households: facts['awards'],
        first_sequence: sequence,
      });
    }
    if (body.kind === 'award') {
      this.awards.push({
        program_id: program,
        period_from: facts['periodFrom'],
        household_id: facts['household'],
        pseudonym: this.pseudonym(program, String(facts['household'])),
        claimed_wh: facts['claimedWh'],
        amount_micro: facts['amountMicro'],
        sequence,
      });
    }
  }

  /** An award pays its program's rate, to the household and under the name it says. */
  assertAward({ facts, sequence, transfers }: RecordBody, findings: Findings): void {
    const program = String(facts['program']);
    const household = String(facts['household']);
    const rate = this.programs.get(program)?.rateMicroPerKwh ?? 0;
    const same = (field: string, expected: unknown, found: unknown) =>
      findings.same('record_body', sequence, field, expected, found);
    same('rateMicroPerKwh', rate, facts['rateMicroPerKwh']);
    same('amountMicro', costMicro(Number(facts['claimedWh']), rate), facts['amountMicro']);
    same('pseudonym', this.pseudonym(program, household), facts['pseudonym']);
    same(
      'transfers',
      lineOf({ debit: programOf(program), credit: walletOf(household) }, facts, 'award'),
      transfers.map(lineText).join(),
    );
  }

  /** Money from and to outside moves between the bank and the wallet or fund that the facts name. */
  assertDeposit({ facts, sequence, transfers }: RecordBody, findings: Findings): void {
    const { direction, household, program } = facts;
    const owner =
      household === undefined ? programOf(String(program)) : walletOf(String(household));
    const ends =
      direction === 'payout'
        ? { debit: owner, credit: SYSTEM.bank }
        : { debit: SYSTEM.bank, credit: owner };
    const code = household === undefined ? 'program-fund' : String(direction);
    findings.same(
      'record_body',
      sequence,
      'transfers',
      lineOf(ends, facts, code),
      transfers.map(lineText).join(),
    );
  }

  programRows(): Row[] {
    return [...this.programs].map(([id, program]) => ({
      program_id: id,
      indicator: program.indicator,
      rate_micro_per_kwh: program.rateMicroPerKwh,
      // Its use is checked: every pseudonym follows from it.
      pseudonym_key: this.keys.get(id),
      sequence: program.sequence,
    }));
  }

  fundingRows(): Row[] {
    return this.fundings;
  }

  memberRows(): Row[] {
    return this.members;
  }

  runRows(): Row[] {
    return this.runs;
  }

  awardRows(): Row[] {
    return this.awards;
  }

  private join(program: string, facts: JsonObject, sequence: number): void {
    const household = String(facts['household']);
    this.members.push({
      program_id: program,
      household_id: household,
      pseudonym: this.pseudonym(program, household),
      joined_from: facts['from'],
      left_at: null,
      sequence,
    });
  }

  private leave(program: string, facts: JsonObject): void {
    const last = this.members.findLast(
      (member) => member['program_id'] === program && member.household_id === facts['household'],
    );
    if (last) last.left_at = String(facts['from']);
  }

  private pseudonym(program: string, household: string): string {
    const key = this.keys.get(program);
    return key ? pseudonymOf(key, household) : '';
  }
}

function lineOf(
  { debit, credit }: { debit: string; credit: string },
  facts: JsonObject,
  code: string,
): string {
  return lineText({
    debit,
    credit,
    asset: String(facts['currency']),
    amount: Number(facts['amountMicro']),
    code,
  });
}

function lineText({ debit, credit, asset, amount, code }: TransferDraft): string {
  return `${debit} > ${credit} ${amount} ${asset} ${code}`;
}
