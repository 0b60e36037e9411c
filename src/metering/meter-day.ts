import type { Instant } from '../units/slot.js';
import type { BorderQuality } from './border.js';
import type { SuspectRule } from './plausibility.js';
import type { Register } from './reading.js';

/** What a meter said beside what was made of it: raw readings, kept as they came, and borders. */

/** One value of a register, as text, exactly. */
export interface MeterDayRow {
  at: Instant;
  register: Register;
  /** A `reading` is raw; a `contradiction` came later for an instant that had one; a `border` counts. */
  kind: 'reading' | 'contradiction' | 'border';
  valueWh: string;
  /** Why a raw value does not count; null of one that does. */
  rule: SuspectRule | 'contradicts' | null;
  /** How a border was told; null of raw values. */
  quality: BorderQuality | null;
  /** Of a border: 0 as its slot was closed with, higher as it was corrected. */
  revision: number | null;
  /** Where the next page goes on. */
  position: string;
}

export interface MeterDayAsked {
  microgridId: string;
  meterId: string;
  /** Null: any household's. */
  householdId: string | null;
  /** Both included, so that the slots of a day have both their borders. */
  from: Instant;
  to: Instant;
  after: string | null;
  limit: number;
}

/** What a position looks like. */
export const METER_DAY_POSITION =
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z (?:import|export) (?:reading|contradiction|border) \d{1,16}(?:\.\d{1,6})?$/;
