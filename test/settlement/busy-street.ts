import type { RecordDraft } from '../../src/ledger/record.js';
import type { MeterSlot } from '../../src/metering/measurement.js';
import { closeSlot } from '../../src/settlement/close-slot.js';
import { slotRecords } from '../../src/settlement/slot-records.js';
import { rules } from '../market/rules.js';
import { metersOf } from './check-scenario.js';
import type { NaiveHousehold } from './naive-slot.js';
import { measured, SLOT, type RandomStreet } from './random-street.js';
import { sealedSlot } from './sealed-slot.js';

/** Streets whose slot is closed and sealed in a log, to take receipts from. */

/** @param before what was recorded before the slot @param named which readings its registers rest on */
export function sealed(
  { homes, input }: RandomStreet,
  before: readonly RecordDraft[] = [],
  named: (meters: readonly MeterSlot[]) => readonly MeterSlot[] = withSomeReadings,
) {
  const registers = new Map(
    homes.map((home) => {
      const hasBattery = home.usableWh > 0;
      const meters = metersOf({
        ...home,
        household: home.id,
        chargedWh: hasBattery ? home.chargedWh : null,
        dischargedWh: hasBattery ? home.dischargedWh : null,
      });
      return [home.id, named(meters)] as const;
    }),
  );
  return sealedSlot([...before, ...slotRecords(closeSlot(input), registers)]);
}

function withSomeReadings([first, ...others]: readonly MeterSlot[]): MeterSlot[] {
  return [{ ...first!, end: { ...first!.end!, readingHashes: ['bb', 'aa', 'bb'] } }, ...others];
}

/** `h0` and `h3` sell to `h1` and `h2`: four trades, and a battery. Parameters as those of `sealed`. */
export function busyStreet(
  before?: readonly RecordDraft[],
  named?: (meters: readonly MeterSlot[]) => readonly MeterSlot[],
) {
  const home = (id: string, wh: Partial<NaiveHousehold>): NaiveHousehold => ({
    id,
    importWh: 0,
    exportWh: 0,
    generatedWh: null,
    chargedWh: 0,
    dischargedWh: 0,
    usableWh: 0,
    lots: [],
    ...wh,
  });
  const homes = [
    home('h0', { exportWh: 900, generatedWh: 1200, chargedWh: 50, usableWh: 60 }),
    home('h1', { importWh: 300 }),
    home('h2', { importWh: 400 }),
    home('h3', { exportWh: 200, generatedWh: 250 }),
  ];
  const households = homes.map((one) => {
    const { householdId, ...energy } = measured(one);
    return {
      householdId,
      energy,
      limits: { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null },
      availableMicro: 1_000_000_000,
      usableWh: one.usableWh,
      lots: [],
      feeder: null,
      share: { parts: 1, rank: 1 },
    };
  });
  const slot = sealed({ homes, input: { terms: TERMS, households, trades: [] } }, before, named);
  const trades = slot.bodies.flatMap(({ kind }, at) => (kind === 'trade' ? [at] : []));
  return { slot, places: slot.placesOf('h0'), trades };
}

const TERMS = {
  microgridId: 'street',
  slot: SLOT,
  slotEnd: '2026-06-01T12:15:00Z',
  currency: 'EUR',
  mechanism: 'metered' as const,
  rules: rules(),
  sharing: null,
  tariff: { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 10_000 },
};
