import { expect, test } from '@jest/globals';
import { recordBody, type RecordDraft } from '../../src/ledger/record.js';
import { pseudonymOf, totalMicro, type Award } from '../../src/rewards/awards.js';
import { consentChanged, programCreated, runRecords } from '../../src/rewards/reward-records.js';
import { NOTHING, only, plus, type ByQuality } from '../../src/settlement/by-quality.js';
import { ErasedHouseholds } from '../../src/verify/erased.js';
import { Findings } from '../../src/verify/finding.js';
import { compareRecord } from '../../src/verify/opened-record.js';
import { Programs } from '../../src/verify/programs.js';

/** What awards say that they rest on, told again; and journals from before they said anything. */

const KEY = new Uint8Array(32).fill(7);
const TERMS = {
  program: 'sun',
  indicator: 'neighbor-claimed' as const,
  rateMicroPerKwh: 1_000_000,
};
const AT = '2026-06-03T00:00:00Z';
const CLAIMS = plus(only('measured', 700), only('estimated', 300));

interface Story {
  /** What the award of each run says; absent: nothing, as before it was told. */
  told: (ByQuality | undefined)[];
  known?: ByQuality;
  /** Whether a seller was erased since. */
  hidden?: boolean;
}

test.each<[string, Story, string[]]>([
  ['an award says what its claims rested on', { told: [CLAIMS] }, []],
  ['awards from before said nothing', { told: [undefined, undefined] }, []],
  ['then they begin to', { told: [undefined, CLAIMS] }, []],
  ['and never stop', { told: [CLAIMS, undefined] }, ['facts.byQuality']],
  ['better than it was', { told: [only('measured', 1_000)] }, ['facts.byQuality']],
  ['worse than it was', { told: [only('missing', 1_000)] }, ['facts.byQuality']],
  ['a seller is gone that had known worse', { told: [only('missing', 1_000)], hidden: true }, []],
  [
    'nobody can have been so good that it does not add up',
    { told: [only('missing', 999)], hidden: true },
    ['facts.byQuality'],
  ],
  [
    'nor so bad that it is below zero',
    { told: [{ ...only('missing', 1_001), measuredWh: -1 }], hidden: true },
    ['facts.byQuality'],
  ],
])('%s', async (_name, story, fields) => {
  expect(await findingsOf(story)).toEqual(fields);
});

async function findingsOf({ told, known = CLAIMS, hidden = false }: Story): Promise<string[]> {
  const findings = new Findings(20);
  const programs = new Programs(
    new Map([['sun', KEY]]),
    new ErasedHouseholds([]),
    async () => new Map([['h01', { byQuality: known, hidden }]]),
    findings,
  );
  let sequence = 0;
  const tell = async (draft: RecordDraft) => {
    const body = recordBody('street', (sequence += 1), draft);
    const expected = await programs.expected(body, 'EUR');
    compareRecord({ body, keyHolder: draft.keyHolder, erased: null }, expected!, findings);
  };
  await tell(programCreated(TERMS, 'regina', AT));
  const consent = { program: 'sun', household: 'h01', by: 'tenant', from: '2026-06-01T00:00:00Z' };
  await tell(consentChanged({ action: 'program-joined', ...consent }, 2, AT));
  for (const [index, byQuality] of told.entries()) {
    const [from, to] = [1 + index, 2 + index].map((day) => `2026-06-0${day}T00:00:00Z`);
    const award: Award = {
      householdId: 'h01',
      pseudonym: pseudonymOf(KEY, 'h01'),
      claimedWh: 1_000,
      byQuality: byQuality ?? NOTHING,
      amountMicro: 1_000_000,
    };
    const [run, given] = runRecords(
      { ...TERMS, currency: 'EUR' },
      { from: from!, to: to! },
      [award],
      totalMicro([award]),
      { by: 'regina', at: AT },
    );
    await tell(run!);
    const { byQuality: _untold, ...facts } = given!.facts;
    await tell(byQuality ? given! : { ...given!, facts });
  }
  if (findings.all.length === 0) {
    const measuredWh = programs.awardRows().map((row) => row['measured_wh']);
    expect(measuredWh).toEqual(told.map((byQuality) => byQuality?.measuredWh ?? null));
  }
  return findings.all.map(({ field }) => field);
}
