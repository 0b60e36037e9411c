import { SYSTEM, walletOf } from '../ledger/accounts.js';
import type { RecordBody, RecordDraft } from '../ledger/record.js';
import {
  awardsOf,
  claimWindows,
  pseudonymOf,
  totalMicro,
  type Award,
  type Claim,
  type Period,
} from '../rewards/awards.js';
import {
  consentChanged,
  programCreated,
  programFunded,
  runRecords,
} from '../rewards/reward-records.js';
import { NOTHING, totalWh, type ByQuality } from '../settlement/by-quality.js';
import type { Json, JsonObject } from '../units/canonical-json.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { ErasedHouseholds } from './erased.js';
import type { Findings, Row } from './finding.js';

/** Reward programs, their runs awarded again, and money from outside, kept again from their records. */

interface Program {
  createdBy: string;
  indicator: 'neighbor-claimed';
  rateMicroPerKwh: number;
  sequence: number;
}

interface Member {
  program: string;
  household: string;
  consentedBy: string;
  joinedFrom: Instant;
  leftAt: Instant | null;
  sequence: number;
}

/** What households had claimed from neighbors in the slots of a period, before a record. */
export type ReadClaims = (period: Period, before: number) => Promise<ReadonlyMap<string, Claimed>>;

export interface Claimed {
  readonly byQuality: ByQuality;
  /** Whether a seller was erased since: its readings may have been worse than those that are known. */
  readonly hidden: boolean;
}

export const NOT_CLAIMED: Claimed = { byQuality: NOTHING, hidden: false };

export class Programs {
  private readonly programs = new Map<string, Program>();
  private readonly members: Member[] = [];
  private readonly fundings: Row[] = [];
  private readonly runs: Row[] = [];
  private readonly awards: Row[] = [];
  /** By program and household, as an award's record says it. */
  private readonly pseudonyms = new Map<string, string>();
  /** Of the run under way, by household. */
  private awaited = new Map<string, (pseudonym: string) => RecordDraft>();
  /** Of the run under way, whose claims were in part those of erased sellers. */
  private hidden = new Set<string>();
  /** Whether awards say what they rest on: the first that does speaks for all that follow. */
  private tellsQuality = false;
  /** Of the run under way, what it has to have awarded to households that were erased. */
  private awaitedErased = { awards: 0, micro: 0 };

  /** @param keys of the programs' pseudonyms, from the program table */
  constructor(
    private readonly keys: ReadonlyMap<string, Uint8Array>,
    private readonly erased: ErasedHouseholds,
    private readonly readClaims: ReadClaims,
    private readonly findings: Findings,
  ) {}

  /** Whether a record is one of these. */
  concern({ kind, facts }: RecordBody): boolean {
    return kind === 'deposit' || kind === 'award' || 'program' in facts;
  }

  /** Whether awards of the run under way are still to come. */
  get pending(): boolean {
    return this.awaited.size > 0 || this.awaitedErased.awards > 0;
  }

  /** What the record must say, given everything before it; null where nothing before allows it. */
  async expected(body: RecordBody, currency: string): Promise<RecordDraft | null> {
    const { kind, facts } = body;
    const program = String(facts['program']);
    if (kind === 'award') return this.award(program, body);
    if (kind === 'deposit') {
      return 'program' in facts ? this.fund(program, body, currency) : depositDraft(body, currency);
    }
    switch (facts['action']) {
      case 'program-created':
        return this.create(program, body);
      case 'program-joined':
      case 'program-left':
        return this.consent(program, body, facts['action']);
      case 'program-run':
        return this.run(program, body, currency);
      default:
        return null;
    }
  }

  /** The award of an erased household: its transfer, out of what the run did not award to others. */
  takeErased({ sequence, transfers }: RecordBody): void {
    const awaited = this.awaitedErased;
    if (awaited.awards === 0) throw new Error('it stands where no award is to follow');
    awaited.awards -= 1;
    awaited.micro -= transfers.reduce((sum, { amount }) => sum + amount, 0);
    if (awaited.awards > 0 || awaited.micro === 0) return;
    this.findings.add('transfer', sequence, 'amount', 'the rest of its run', -awaited.micro);
  }

  programRows(): Row[] {
    return [...this.programs].map(([id, program]) => ({
      program_id: id,
      created_by: program.createdBy,
      indicator: program.indicator,
      rate_micro_per_kwh: program.rateMicroPerKwh,
      // Its use is checked: every pseudonym follows from it.
      pseudonym_key: undefined,
      sequence: program.sequence,
    }));
  }

  fundingRows(): Row[] {
    return this.fundings;
  }

  memberRows(): Row[] {
    return this.members.map((member) => ({
      program_id: member.program,
      household_id: member.household,
      pseudonym: this.pseudonym(member.program, member.household),
      consented_by: member.consentedBy,
      joined_from: member.joinedFrom,
      left_at: member.leftAt,
      sequence: member.sequence,
    }));
  }

  runRows(): Row[] {
    return this.runs;
  }

  awardRows(): Row[] {
    return this.awards;
  }

  /** A key that gives no member the pseudonym that stands beside it is not the program's. */
  assertKeys(memberRows: readonly Row[]): void {
    for (const [program, key] of this.keys) {
      const rows = memberRows.filter((row) => row['program_id'] === program);
      const fits = (row: Row) => pseudonymOf(key, String(row['household_id'])) === row['pseudonym'];
      if (rows.length > 0 && !rows.some(fits)) this.wrongKey(program);
    }
  }

  private create(program: string, { facts, at, sequence }: RecordBody): RecordDraft {
    const createdBy = String(facts['by']);
    const rateMicroPerKwh = Number(facts['rateMicroPerKwh']);
    const indicator = 'neighbor-claimed';
    this.programs.set(program, { createdBy, indicator, rateMicroPerKwh, sequence });
    return programCreated({ program, indicator, rateMicroPerKwh }, createdBy, at);
  }

  private fund(program: string, body: RecordBody, currency: string): RecordDraft {
    const reference = String(body.facts['reference']);
    const amountMicro = Number(body.facts['amountMicro']);
    this.fundings.push({
      program_id: program,
      reference,
      amount_micro: amountMicro,
      sequence: body.sequence,
    });
    return programFunded({ program, reference, amountMicro, currency }, body.at);
  }

  private consent(
    program: string,
    { facts, at, sequence }: RecordBody,
    action: 'program-joined' | 'program-left',
  ): RecordDraft {
    const household = String(facts['household']);
    const by = String(facts['by']);
    const from = String(facts['from']);
    const isOf = (one: Member) => one.program === program && one.household === household;
    if (action === 'program-left') {
      const last = this.members.findLast(isOf);
      if (last) last.leftAt = from;
    } else {
      // Who left before a membership began and joins again renews that membership.
      const renewed = this.members.findIndex((one) => isOf(one) && one.joinedFrom === from);
      if (renewed >= 0) this.members.splice(renewed, 1);
      const member = { program, household, consentedBy: by, joinedFrom: from, leftAt: null };
      this.members.push({ ...member, sequence });
    }
    return consentChanged({ action, program, household, by, from }, sequence, at);
  }

  private async run(
    program: string,
    { facts, at, sequence }: RecordBody,
    currency: string,
  ): Promise<RecordDraft | null> {
    const terms = this.programs.get(program);
    if (!terms) return null;
    const period = { from: String(facts['periodFrom']), to: String(facts['periodTo']) };
    const by = String(facts['by']);
    const awards = await this.awardsOf(program, period, terms.rateMicroPerKwh, sequence);
    const beyond = this.beyondKnown(awards, facts);
    this.awaitedErased = { ...beyond };
    const awardedMicro = totalMicro(awards) + beyond.micro;
    const draftsOf = (some: readonly Award[]) =>
      runRecords({ program, currency, ...terms }, period, some, awardedMicro, { by, at });
    for (const award of awards) {
      this.awaited.set(award.householdId, (pseudonym) => draftsOf([{ ...award, pseudonym }])[1]!);
    }
    this.runs.push({
      program_id: program,
      period_from: period.from,
      period_to: period.to,
      awarded_micro: awardedMicro,
      households: awards.length + beyond.awards,
      first_sequence: sequence,
    });
    const draft = draftsOf(awards)[0]!;
    return { ...draft, facts: { ...draft.facts, awards: awards.length + beyond.awards } };
  }

  /** What a run says beyond the awards of members that are known: those of erased ones, if any were. */
  private beyondKnown(
    awards: readonly Award[],
    facts: JsonObject,
  ): { awards: number; micro: number } {
    if (this.erased.households.length === 0) return { awards: 0, micro: 0 };
    const more = Number(facts['awards']) - awards.length;
    return more > 0
      ? { awards: more, micro: Number(facts['awardedMicro']) - totalMicro(awards) }
      : { awards: 0, micro: 0 };
  }

  /** What the run has to award, from the settlements as they stood before it. */
  private async awardsOf(
    program: string,
    period: Period,
    rateMicroPerKwh: number,
    before: number,
  ): Promise<Award[]> {
    const members = this.members
      .filter((one) => one.program === program)
      .filter(
        ({ joinedFrom, leftAt }) =>
          parseInstant(joinedFrom) < parseInstant(period.to) &&
          (leftAt === null || parseInstant(leftAt) > parseInstant(period.from)),
      )
      .map(({ household, joinedFrom, leftAt }) => ({
        householdId: household,
        pseudonym: '',
        joinedFrom,
        leftAt,
      }));
    const claims: Claim[] = [];
    this.hidden = new Set();
    for (const { from, to, members: inWindow } of claimWindows(members, period)) {
      const claimed = await this.readClaims({ from, to }, before);
      for (const { householdId, pseudonym } of inWindow) {
        const { byQuality, hidden } = claimed.get(householdId) ?? NOT_CLAIMED;
        claims.push({ householdId, pseudonym, byQuality });
        if (hidden) this.hidden.add(householdId);
      }
    }
    return awardsOf(claims, rateMicroPerKwh);
  }

  /** The record says the pseudonym; the program's key has to give it. */
  private award(program: string, { facts, sequence }: RecordBody): RecordDraft | null {
    const household = String(facts['household']);
    const pseudonym = String(facts['pseudonym']);
    const key = this.keys.get(program);
    if (key && pseudonymOf(key, household) !== pseudonym) this.wrongKey(program);
    this.pseudonyms.set(`${program}/${household}`, pseudonym);
    const awaited = this.awaited.get(household)?.(pseudonym) ?? null;
    const draft = awaited && this.withQuality(awaited, facts, household);
    this.awaited.delete(household);
    const byQuality = draft?.facts['byQuality'] as ByQuality | undefined;
    this.awards.push({
      program_id: program,
      period_from: facts['periodFrom'],
      household_id: household,
      pseudonym,
      claimed_wh: draft?.facts['claimedWh'] ?? null,
      amount_micro: draft?.facts['amountMicro'] ?? null,
      measured_wh: byQuality?.measuredWh ?? null,
      interpolated_wh: byQuality?.interpolatedWh ?? null,
      estimated_wh: byQuality?.estimatedWh ?? null,
      missing_wh: byQuality?.missingWh ?? null,
      sequence,
    });
    return draft;
  }

  /** As the award has to tell it: awards made before qualities were told say none. */
  private withQuality(
    { facts, ...draft }: RecordDraft,
    { byQuality: told }: JsonObject,
    household: string,
  ): RecordDraft {
    this.tellsQuality ||= told !== undefined;
    const { byQuality: known, ...rest } = facts;
    if (!this.tellsQuality) return { ...draft, facts: rest };
    // Of erased sellers nothing is known: what is told of their energy must still add up.
    const isTold = this.hidden.has(household) && addsUp(told, Number(facts['claimedWh']));
    return { ...draft, facts: { ...rest, byQuality: isTold ? told! : known! } };
  }

  private pseudonym(program: string, household: string): string {
    const key = this.keys.get(program);
    const known = this.pseudonyms.get(`${program}/${household}`);
    return known ?? (key ? pseudonymOf(key, household) : '');
  }

  private wrongKey(program: string): void {
    const expected = "the key of its members' pseudonyms";
    if (this.findings.all.some(({ table, row }) => table === 'program' && row === program)) return;
    this.findings.add('program', program, 'pseudonym_key', expected, 'another key');
  }
}

/** Whether what a record tells can be energy by quality of `energyWh` in all. */
function addsUp(told: Json | undefined, energyWh: number): boolean {
  if (typeof told !== 'object' || told === null) return false;
  const names = Object.keys(NOTHING);
  const energies = told as JsonObject;
  const isWhole = (name: string) =>
    Number.isSafeInteger(energies[name]) && Number(energies[name]) >= 0;
  if (Object.keys(energies).length !== names.length || !names.every(isWhole)) return false;
  return totalWh(told as ByQuality) === energyWh;
}

/** Money from and to outside moves between the bank and the wallet that the facts name. */
function depositDraft({ facts, at, cause }: RecordBody, currency: string): RecordDraft | null {
  const { household, direction } = facts as JsonObject & { household: string; direction: string };
  if (direction !== 'deposit' && direction !== 'payout') return null;
  const ends =
    direction === 'deposit'
      ? { debit: SYSTEM.bank, credit: walletOf(household) }
      : { debit: walletOf(household), credit: SYSTEM.bank };
  const amount = Number(facts['amountMicro']);
  return {
    kind: 'deposit',
    at,
    cause,
    keyHolder: household,
    households: [household],
    facts: { ...facts, currency },
    transfers: [{ ...ends, asset: currency, amount, code: direction }],
  };
}
