import type { RecordDraft } from '../../src/ledger/record.js';
import { Tally } from '../../src/ledger/tally.js';
import type { SettledSlot } from '../../src/settlement/close-slot.js';
import { closeManifests, NOTHING_COUNTED } from '../../src/settlement/manifest.js';
import { slotRecords, type Supply } from '../../src/settlement/slot-records.js';

/** All records of a slot that closes in the middle of a day, its manifest included. */
export function wholeSlot(slot: SettledSlot, before: Supply): RecordDraft[] {
  const drafts = slotRecords(slot, new Map());
  const supply = Object.fromEntries(
    Object.entries(before).map(([token, amount]) => [
      token,
      { before: amount, minted: 0, retired: 0 },
    ]),
  );
  const manifests = closeManifests({
    state: { ...NOTHING_COUNTED, day: { ...NOTHING_COUNTED.day, supply } },
    between: new Tally(),
    head: 0,
    slot,
    drafts,
    microgrid: { timeZone: 'UTC' },
  });
  return [...drafts, ...manifests.drafts];
}
