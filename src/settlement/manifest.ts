import { TOKENS, type Token } from '../ledger/accounts.js';
import type { RecordDraft } from '../ledger/record.js';
import { Tally } from '../ledger/tally.js';
import type { Microgrid } from '../parties/microgrid.js';
import { isDominant, MIN_HOUSEHOLDS } from '../units/cell.js';
import type { Json, JsonObject } from '../units/canonical-json.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { SettledSlot } from './close-slot.js';
import type { RegisterFacts } from './slot-facts.js';
import { causeOf } from './slot-records.js';
import { dayAt } from './statement.js';

/**
 * Manifests: what all records since the last one come to, counted and, asset by asset, as supply before
 * + minted − retired = supply after. One closes every slot. One more ends every local day, and opens
 * an energy token's sums to everyone for the days since they were last opened, once these are many
 * enough households' that they tell of none.
 */

type Figures = Record<string, number>;

/** What is known when a slot closes: kept as one row, because it changes as a whole with each slot. */
export type ManifestState = {
  /** The last record that a manifest counted: a manifest itself; 0 before the first. */
  through: number;
  /** Of the day under way; `from` is null before the first slot. */
  day: {
    from: Instant | null;
    previous: number;
    slots: number;
    readings: number;
    transfers: number;
    records: Figures;
    supply: Record<string, { before: number; minted: number; retired: number }>;
  };
  /** By token, since it was last opened: what each household minted and retired. */
  windows: Record<
    string,
    { from: Instant | null; since: number; minted: Figures; retired: Figures }
  >;
  /** By token, what each household holds. */
  held: Record<string, Figures>;
};

export const NOTHING_COUNTED: ManifestState = {
  through: 0,
  day: { from: null, previous: 0, slots: 0, readings: 0, transfers: 0, records: {}, supply: {} },
  windows: {},
  held: {},
};

/**
 * The manifests with which a slot ends, and what is known behind them.
 * @param closing.drafts the slot's other records
 * @param closing.head the sequence of the last record before them
 * @param closing.between what the records from `state.through` to `head` come to
 */
export function closeManifests(closing: {
  state: ManifestState;
  between: Tally;
  head: number;
  slot: SettledSlot;
  drafts: readonly RecordDraft[];
  microgrid: Pick<Microgrid, 'timeZone'>;
}): { drafts: RecordDraft[]; state: ManifestState } {
  const { state, between: tally, head, slot, drafts, microgrid } = closing;
  for (const { kind, transfers } of drafts) {
    tally.addRecords(kind);
    for (const transfer of transfers) tally.addTransfers(transfer);
  }
  tally.addRecords('slot-closed');
  for (const asset of [...TOKENS, slot.terms.currency]) {
    if (!tally.supply.has(asset)) tally.supply.set(asset, { minted: 0, retired: 0 });
  }
  const readings = readingsIn(drafts);
  const closed = slotManifest(slot, tally, readings, state);
  const through = head + drafts.length + 1;
  const counted = countedWith(state, slot, tally, readings, through);
  if (!isDayOver(counted.day.from!, slot.terms.slotEnd, microgrid.timeZone)) {
    return { drafts: [closed], state: counted };
  }
  const ended = endDay(counted, slot.terms.slotEnd);
  return { drafts: [closed, ended.draft], state: ended.state };
}

/** Every asset's supply after all that was counted. */
export function supplyAfter({ day }: ManifestState): Figures {
  return Object.fromEntries(
    Object.entries(day.supply).map(([asset, { before, minted, retired }]) => [
      asset,
      before + minted - retired,
    ]),
  );
}

/** Whether sums of a token over this window may be told to everyone, with what is held at its end. */
export function mayBeOpened(minted: Figures, retired: Figures, held: Figures): boolean {
  const moved = new Set(
    [minted, retired].flatMap((figures) => Object.keys(figures).filter((id) => figures[id] !== 0)),
  );
  if (moved.size < MIN_HOUSEHOLDS) return false;
  return [minted, retired, held].every((figures) => {
    const whole = sumOf(figures);
    return Object.values(figures).every((part) => !isDominant(part, whole));
  });
}

function slotManifest(
  slot: SettledSlot,
  tally: Tally,
  readings: number,
  state: ManifestState,
): RecordDraft {
  const { terms } = slot;
  const before = supplyAfter(state);
  const supply = sorted(tally.supply).map(([asset, { minted, retired }]) =>
    supplyFact(asset, before[asset] ?? 0, minted, retired),
  );
  return {
    kind: 'slot-closed',
    at: terms.slotEnd,
    cause: causeOf.closed(terms.slot),
    keyHolder: '',
    households: [],
    facts: {
      slot: terms.slot,
      slotEnd: terms.slotEnd,
      mechanism: terms.mechanism,
      pricing: terms.rules.pricing,
      kThousandths: terms.rules.kThousandths,
      ...(terms.rules.rationing === 'pro-rata' ? {} : { rationing: terms.rules.rationing }),
      ...(terms.sharing === null ? {} : { sharing: { ...terms.sharing } }),
      ...(terms.rules.network === null ? {} : { network: terms.rules.network.validFrom }),
      households: slot.households.length,
      trades: slot.trades.length,
      tradedWh: slot.tradedWh,
      clearingPriceMicroPerKwh: slot.clearingPriceMicroPerKwh,
      priceInterval: slot.priceInterval === null ? null : [...slot.priceInterval],
      previous: state.through,
      records: Object.fromEntries(sorted(tally.records)),
      transfers: tally.transfers,
      readings,
      ...Object.fromEntries(supply),
    },
    transfers: [],
  };
}

/** The state with a slot, and what came before it, counted. */
function countedWith(
  { day, windows, held }: ManifestState,
  { terms }: SettledSlot,
  tally: Tally,
  readings: number,
  through: number,
): ManifestState {
  const supply = { ...day.supply };
  for (const [asset, { minted, retired }] of tally.supply) {
    const sum = supply[asset] ?? { before: 0, minted: 0, retired: 0 };
    supply[asset] = {
      before: sum.before,
      minted: sum.minted + minted,
      retired: sum.retired + retired,
    };
  }
  const records = { ...day.records };
  for (const [kind, count] of tally.records) records[kind] = (records[kind] ?? 0) + count;
  const parts = (token: Token, which: 'minted' | 'retired' | 'held') =>
    [...(tally.parts.get(token) ?? [])].map(([id, part]): [string, number] => [id, part[which]]);
  return {
    through,
    day: {
      from: day.from ?? terms.slot,
      previous: day.previous,
      slots: day.slots + 1,
      readings: day.readings + readings,
      transfers: day.transfers + tally.transfers,
      records,
      supply,
    },
    windows: Object.fromEntries(
      TOKENS.map((token) => {
        const window = windows[token];
        return [
          token,
          {
            from: window?.from ?? terms.slot,
            since: window?.since ?? 0,
            minted: added(window?.minted ?? {}, parts(token, 'minted')),
            retired: added(window?.retired ?? {}, parts(token, 'retired')),
          },
        ];
      }),
    ),
    held: Object.fromEntries(
      TOKENS.map((token) => [token, added(held[token] ?? {}, parts(token, 'held'))]),
    ),
  };
}

/** A slot that was set aside at midnight lets the day go on to the next one that closes. */
function isDayOver(from: Instant, slotEnd: Instant, timeZone: string): boolean {
  return dayAt(parseInstant(slotEnd), timeZone) > dayAt(parseInstant(from), timeZone);
}

function endDay(
  { through, day, windows, held }: ManifestState,
  to: Instant,
): { draft: RecordDraft; state: ManifestState } {
  const sequence = through + 1;
  const isOpen = (token: string) =>
    mayBeOpened(windows[token]!.minted, windows[token]!.retired, held[token] ?? {});
  const opened = TOKENS.filter(isOpen).sort();
  const from = day.from!;
  const supply = sorted(Object.entries(day.supply)).map(([asset, sum]) =>
    supplyFact(asset, sum.before, sum.minted, sum.retired),
  );
  const draft: RecordDraft = {
    kind: 'manifest',
    at: to,
    cause: `manifest/${to}/${sequence}`,
    keyHolder: '',
    households: [],
    facts: {
      from,
      to,
      previous: day.previous,
      slots: day.slots,
      records: { ...day.records, manifest: 1 },
      transfers: day.transfers,
      readings: day.readings,
      ...Object.fromEntries(supply),
      opened,
      ...Object.fromEntries(
        opened.map((token) => {
          const { since, minted, retired, ...window } = windows[token]!;
          const after = sumOf(held[token] ?? {});
          const sums = { minted: sumOf(minted), retired: sumOf(retired) };
          const before = after - sums.minted + sums.retired;
          return [`window.${token}`, { from: window.from!, to, since, before, ...sums, after }];
        }),
      ),
    },
    transfers: [],
  };
  const supplyNow = supplyAfter({ ...NOTHING_COUNTED, day });
  for (const token of TOKENS) {
    if (sumOf(held[token] ?? {}) === supplyNow[token]) continue;
    throw new Error(`households hold another amount of ${token} than there is`);
  }
  const state: ManifestState = {
    through: sequence,
    day: {
      ...NOTHING_COUNTED.day,
      from: to,
      previous: sequence,
      supply: Object.fromEntries(
        Object.entries(supplyNow).map(([asset, before]) => [
          asset,
          { before, minted: 0, retired: 0 },
        ]),
      ),
    },
    windows: {
      ...windows,
      ...Object.fromEntries(
        opened.map((token) => [token, { from: to, since: sequence, minted: {}, retired: {} }]),
      ),
    },
    held,
  };
  return { draft, state };
}

function supplyFact(
  asset: string,
  before: number,
  minted: number,
  retired: number,
): [string, JsonObject] {
  return [`supply.${asset}`, { before, minted, retired, after: before + minted - retired }];
}

/** How many different readings the records of a slot name. */
export function readingsIn(drafts: readonly RecordDraft[]): number {
  const named = new Set<Json>();
  for (const { kind, facts } of drafts) {
    if (kind !== 'household-slot') continue;
    for (const { startReadings, endReadings } of facts['registers'] as RegisterFacts[]) {
      for (const hash of [...startReadings, ...endReadings]) named.add(hash);
    }
  }
  return named.size;
}

/** Figures with more added to them; those that come to nothing are left out. */
function added(figures: Figures, more: readonly (readonly [string, number])[]): Figures {
  if (more.length === 0) return figures;
  const sums = new Map(Object.entries(figures));
  for (const [id, amount] of more) sums.set(id, (sums.get(id) ?? 0) + amount);
  return Object.fromEntries([...sums].filter(([, sum]) => sum !== 0));
}

function sumOf(figures: Figures): number {
  return Object.values(figures).reduce((sum, one) => sum + one, 0);
}

function sorted<T>(entries: Iterable<readonly [string, T]>): (readonly [string, T])[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
}
