import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SYSTEM, TOKENS, type Token } from '../../src/ledger/accounts.js';
import type { RecordDraft, TransferDraft } from '../../src/ledger/record.js';
import { Tally } from '../../src/ledger/tally.js';
import type { SettledSlot } from '../../src/settlement/close-slot.js';
import {
  closeManifests,
  mayBeOpened,
  NOTHING_COUNTED,
  type ManifestState,
} from '../../src/settlement/manifest.js';
import { checkManifests } from '../../src/settlement/manifest-check.js';
import { publicFields } from '../../src/settlement/manifest-release.js';
import { parsePolicy } from '../../src/transparency/tlog-policy.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { rules } from '../market/rules.js';
import { POLICY, sealedSlot } from './sealed-slot.js';

/** Manifests against a journal that is simply added up again. */

describe('whether sums may be told to everyone', () => {
  const each = (count: number, wh: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`h${at}`, wh]));
  const rows: [string, Record<string, number>, Record<string, number>, boolean][] = [
    ['fourteen equal households', each(14, 10), {}, false],
    ['fifteen equal households', each(15, 10), {}, true],
    ['fifteen, of whom one only retired', each(14, 10), { last: 1 }, false],
    ['one with exactly 15 %', { ...each(17, 5), big: 15 }, {}, true],
    ['one with more than 15 %', { ...each(17, 5), big: 16 }, {}, false],
    ['two roofs among twenty', { h0: 50, h1: 50 }, each(20, 5), false],
    ['many who come to nothing together', { ...each(10, 10), ...negative(10) }, {}, false],
    ['nobody', {}, {}, false],
  ];
  test.each(rows)('%s', (_, minted, retired, expected) => {
    expect(mayBeOpened(minted, retired, {})).toBe(expected);
  });

  test('not while one battery holds nearly all that is held', () => {
    expect(mayBeOpened(each(20, 10), each(20, 10), { h0: 100, h1: 3 })).toBe(false);
    expect(mayBeOpened(each(20, 10), each(20, 10), each(20, 3))).toBe(true);
  });

  function negative(count: number): Record<string, number> {
    return Object.fromEntries(Array.from({ length: count }, (_, at) => [`n${at}`, -10]));
  }
});

describe('the manifests of any journal', () => {
  test('count every record once and carry every supply on', () => {
    fc.assert(
      fc.property(JOURNAL, (slots) => {
        let counted = 0;
        const after: Record<string, number> = {};
        for (const { sequence, draft } of manifestsOf(slots, 'slot-closed')) {
          const { facts } = draft;
          const records = Object.values(facts['records'] as Record<string, number>);
          const previous = Number(facts['previous']);
          expect(previous).toBeGreaterThanOrEqual(counted);
          expect(records.reduce((sum, one) => sum + one, 0)).toBe(sequence - previous);
          counted = sequence;
          for (const [name, fact] of Object.entries(facts)) {
            if (!name.startsWith('supply.')) continue;
            const supply = fact as Record<'before' | 'minted' | 'retired' | 'after', number>;
            expect(supply.before).toBe(after[name] ?? 0);
            expect(supply.before + supply.minted - supply.retired).toBe(supply.after);
            after[name] = supply.after;
          }
        }
        expect(Object.keys(after).sort()).toEqual([
          'supply.CONSUMPTION',
          'supply.EUR',
          'supply.PRODUCTION',
          'supply.STORAGE',
        ]);
      }),
      { numRuns: 60 },
    );
  });

  test('end each day with sums that a reader of all transfers comes to as well', () => {
    fc.assert(
      fc.property(JOURNAL, (slots) => {
        const journal = journalOf(slots);
        const opened = Object.fromEntries(TOKENS.map((token) => [token, 0]));
        let previous = 0;
        for (const { sequence, draft } of manifestsOf(slots, 'manifest')) {
          const { facts } = draft;
          expect(facts['previous']).toBe(previous);
          const day = journal.filter((one) => one.sequence > previous && one.sequence <= sequence);
          const kinds = Object.values(facts['records'] as Record<string, number>);
          expect(kinds.reduce((sum, one) => sum + one, 0)).toBe(day.length);
          expect(facts['transfers']).toBe(day.flatMap((one) => one.draft.transfers).length);
          for (const asset of [...TOKENS, 'EUR']) {
            expect(facts[`supply.${asset}`]).toMatchObject(naiveSums(day, asset));
          }
          for (const token of TOKENS) {
            const since = opened[token]!;
            const window = journal.filter((one) => one.sequence > since && one.sequence < sequence);
            const earlier = journal.filter((one) => one.sequence < sequence);
            const may = naiveVerdict(window, earlier, token);
            expect([token, (facts['opened'] as string[]).includes(token)]).toEqual([token, may]);
            if (!may) expect(facts[`window.${token}`]).toBeUndefined();
            else {
              const sums = naiveSums(window, token);
              expect(facts[`window.${token}`]).toMatchObject({ since, ...sums });
              opened[token] = sequence;
            }
          }
          previous = sequence;
        }
      }),
      { numRuns: 60 },
    );
  });

  test('open windows that stand by themselves, and show it when one is missing or changed', () => {
    const { list, count } = publicList();
    const checked = checkManifests(list, parsePolicy(POLICY));
    if (!checked.good) throw new Error(JSON.stringify(checked.misfit));
    const windows = checked.value;
    expect(windows.length).toBeGreaterThan(3);
    expect(new Set(windows.map(({ token }) => token)).size).toBeGreaterThan(1);
    for (let left = 0; left < count - 1; left += 1) {
      const records = list.records.filter((_, at) => at !== left);
      expect(checkManifests({ ...list, records }, parsePolicy(POLICY))).toMatchObject({
        good: false,
        misfit: { field: expect.stringMatching(/since|before/) },
      });
    }
    const turned = { ...list, records: [...list.records].reverse() };
    expect(checkManifests(turned, parsePolicy(POLICY)).good).toBe(false);
  });

  test('open nothing of a street that is too small, not even where a manifest stands', () => {
    const [slots] = fc.sample(journalOfHouseholds(14), { numRuns: 1, seed: 3 });
    const days = manifestsOf(slots!, 'manifest');
    expect(days.length).toBeGreaterThan(1);
    for (const { draft } of days) expect(publicFields(bodyLike(draft))).toBeNull();
  });
});

interface Slot {
  start: string;
  /** What came before it, such as a deposit or a correction. */
  between: RecordDraft[];
  drafts: RecordDraft[];
}

/** Six hours a slot, four a day, a few days long; households mint, use and store at random. */
function journalOfHouseholds(households: number): fc.Arbitrary<Slot[]> {
  const energy = fc.tuple(fc.nat(40), fc.nat(40), fc.integer({ min: -20, max: 20 }));
  const slot = fc.record({
    energies: fc.array(energy, { minLength: households, maxLength: households }),
    deposits: fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 2 }),
    corrected: fc.boolean(),
  });
  return fc.array(slot, { minLength: 9, maxLength: 14 }).map((slots) =>
    slots.map(({ energies, deposits, corrected }, at) => ({
      start: formatInstant(parseInstant('2026-06-01T00:00:00Z') + at * 6 * 3_600_000),
      between: [
        ...deposits.map((amount, index) => record('deposit', [paidIn(`h${index}`, amount)])),
        ...(corrected ? [record('correction', moved('h1', 3, 2, 0))] : []),
      ],
      drafts: energies.map(([minted, used, stored], index) =>
        record('household-slot', moved(`h${index}`, minted, used, Math.max(0, stored))),
      ),
    })),
  );
}

const JOURNAL = fc.constantFrom(3, 16, 30).chain(journalOfHouseholds);

interface Told {
  sequence: number;
  draft: RecordDraft;
}

const told = new WeakMap<readonly Slot[], Told[]>();

/** The journal with the manifests that `closeManifests` puts into it. */
function journalOf(slots: readonly Slot[]): Told[] {
  const known = told.get(slots);
  if (known) return known;
  const journal: Told[] = [];
  const append = (drafts: readonly RecordDraft[]) => {
    for (const draft of drafts) journal.push({ sequence: journal.length + 1, draft });
  };
  let state: ManifestState = NOTHING_COUNTED;
  for (const { start, between, drafts } of slots) {
    append(between);
    const tally = new Tally();
    for (const { sequence, draft } of journal) {
      if (sequence <= state.through) continue;
      tally.addRecords(draft.kind);
      for (const transfer of draft.transfers) tally.addTransfers(transfer);
    }
    const head = journal.length;
    const slot = slotAt(start);
    const closed = closeManifests({
      // As it is kept: in and out of a row of text.
      state: JSON.parse(JSON.stringify(state)) as ManifestState,
      between: tally,
      head,
      slot,
      drafts,
      microgrid: { timeZone: 'Europe/Berlin' },
    });
    append([...drafts, ...closed.drafts]);
    ({ state } = closed);
  }
  told.set(slots, journal);
  return journal;
}

function manifestsOf(slots: readonly Slot[], kind: 'slot-closed' | 'manifest'): Told[] {
  return journalOf(slots).filter(({ draft }) => draft.kind === kind);
}

function publicList() {
  const [slots] = fc.sample(journalOfHouseholds(30), { numRuns: 1, seed: 11 });
  const journal = journalOf(slots!);
  const sealed = sealedSlot(
    journal.map(({ draft }) => draft),
    0,
  );
  const open = journal.flatMap(({ draft }, at) =>
    draft.kind === 'manifest' && publicFields(bodyLike(draft)) ? [at] : [],
  );
  const records = sealed.opened(open, (body) => (name) => publicFields(body)?.has(name) ?? false);
  return { list: { microgrid: 'street', records }, count: open.length };
}

function bodyLike({ kind, facts }: RecordDraft) {
  return { kind, facts } as Parameters<typeof publicFields>[0];
}

function naiveSums(journal: readonly Told[], asset: string): { minted: number; retired: number } {
  const [source, sinks] =
    asset === 'EUR'
      ? [SYSTEM.bank, [SYSTEM.bank]]
      : [SYSTEM.issued(asset as Token), [SYSTEM.retired(asset as Token)]];
  const lines = journal
    .flatMap(({ draft }) => draft.transfers)
    .filter((line) => line.asset === asset);
  const sum = (of: (line: TransferDraft) => boolean) =>
    lines.filter(of).reduce((total, { amount }) => total + amount, 0);
  return {
    minted: sum(({ debit }) => debit === source),
    retired: sum(({ credit }) => sinks.includes(credit)),
  };
}

/** The rule as the decision tells it, household by household. */
function naiveVerdict(window: readonly Told[], all: readonly Told[], token: Token): boolean {
  const ofHousehold = (journal: readonly Told[], id: string) => {
    const account = `household/${id}/`;
    const lines = journal
      .flatMap(({ draft }) => draft.transfers)
      .filter(({ asset }) => asset === token);
    const sum = (of: (line: TransferDraft) => boolean) =>
      lines.filter(of).reduce((total, { amount }) => total + amount, 0);
    return {
      minted: sum(({ credit }) => credit.startsWith(account)),
      retired: sum(({ debit }) => debit.startsWith(account)),
    };
  };
  const ids = Array.from({ length: 30 }, (_, at) => `h${at}`);
  const parts = ids.map((id) => ofHousehold(window, id));
  const held = ids.map((id) => {
    const { minted, retired } = ofHousehold(all, id);
    return minted - retired;
  });
  const isFair = (figures: readonly number[]) => {
    const whole = figures.reduce((sum, one) => sum + one, 0);
    return figures.every((one) => Math.abs(one) * 100 <= Math.abs(whole) * 15);
  };
  return (
    parts.filter(({ minted, retired }) => minted + retired > 0).length >= 15 &&
    isFair(parts.map(({ minted }) => minted)) &&
    isFair(parts.map(({ retired }) => retired)) &&
    isFair(held)
  );
}

function record(kind: RecordDraft['kind'], transfers: TransferDraft[]): RecordDraft {
  return {
    kind,
    at: '2026-06-01T00:00:00Z',
    cause: 'a cause',
    keyHolder: '',
    households: [],
    facts: { registers: [] },
    transfers: transfers.filter(({ amount }) => amount > 0),
  };
}

function moved(id: string, minted: number, used: number, stored: number): TransferDraft[] {
  const line = (debit: string, credit: string, asset: string, amount: number): TransferDraft => ({
    debit,
    credit,
    asset,
    amount,
    code: 'test',
  });
  const production = `household/${id}/production`;
  const consumption = `household/${id}/consumption`;
  return [
    line(SYSTEM.issued('PRODUCTION'), production, 'PRODUCTION', minted),
    line(production, SYSTEM.retired('PRODUCTION'), 'PRODUCTION', minted),
    line(SYSTEM.issued('CONSUMPTION'), consumption, 'CONSUMPTION', used),
    line(consumption, SYSTEM.retired('CONSUMPTION'), 'CONSUMPTION', used),
    line(SYSTEM.issued('STORAGE'), `household/${id}/storage`, 'STORAGE', stored),
  ];
}

function paidIn(id: string, amount: number): TransferDraft {
  return {
    debit: SYSTEM.bank,
    credit: `household/${id}/wallet`,
    asset: 'EUR',
    amount,
    code: 'deposit',
  };
}

function slotAt(start: string): SettledSlot {
  return {
    terms: {
      microgridId: 'street',
      slot: start,
      slotEnd: formatInstant(parseInstant(start) + 6 * 3_600_000),
      currency: 'EUR',
      mechanism: 'metered',
      rules: rules(),
      sharing: null,
      tariff: { retailMicroPerKwh: 0, feedInMicroPerKwh: 0, gridFeeMicroPerKwh: 0 },
    },
    households: [],
    trades: [],
    tradedWh: 0,
    clearingPriceMicroPerKwh: null,
    priceInterval: null,
    walletLimited: [],
  };
}
