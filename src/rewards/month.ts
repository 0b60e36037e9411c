import { formatInstant, type Instant } from '../units/slot.js';

/** Calendar months in UTC, written `YYYY-MM`: the only periods a regulator may ask about. */
export interface Month {
  readonly month: string;
  /** Its slots start in [from, to). */
  readonly from: Instant;
  readonly to: Instant;
}

export const MONTH = /^(?:19|20)\d{2}-(?:0[1-9]|1[0-2])$/;

/** Both months and all between them; none when `first` is the later. */
export function monthsThrough(first: string, last: string): Month[] {
  const months: Month[] = [];
  for (let index = indexOf(first); index <= indexOf(last); index += 1) {
    const [from, to] = [index, index + 1].map((month) =>
      formatInstant(Date.UTC(Math.floor(month / 12), month % 12)),
    );
    months.push({ month: from!.slice(0, 7), from: from!, to: to! });
  }
  return months;
}

/** Months since the year 0. */
function indexOf(month: string): number {
  const [year, monthOfYear] = month.split('-').map(Number);
  return year! * 12 + monthOfYear! - 1;
}
