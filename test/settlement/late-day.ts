import type { BillLine } from '../../src/settlement/bill-line.js';
import { StatementService } from '../../src/settlement/statement.service.js';
import { monthOf } from '../../src/settlement/statement.js';
import type { Registers, Street } from './street.js';

/**
 * A few slots of a street whose readings come when they will: what was read at each border, when that
 * comes in, and the clock that goes on meanwhile.
 */

/** What each household's registers show at each border, from 10:00 on. */
export type Day = Record<string, Registers>[];

export const TIMES = ['10:00', '10:15', '10:30', '10:45', '11:00', '11:15', '11:30'];

const GRACE_OVER = ['10:06', '10:21', '10:36', '10:51', '11:06', '11:21', '11:36'];

/** `A@10:30 -> 11:00`: what is read of A at 10:30 comes in only at 11:00. */
export type Late = Record<string, string>;

/** What is read of a household at `HH:MM`. */
export interface Read {
  time: string;
  id: string;
  registers: Registers;
}

/** @param arrange in which order those come in that come in together */
export async function live(
  street: Street,
  day: Day,
  late: Late = {},
  arrange: (together: Read[]) => Read[] = (together) => together,
): Promise<void> {
  const all = day.flatMap((border, index) =>
    Object.entries(border).map(([id, registers]) => ({ time: TIMES[index]!, id, registers })),
  );
  for (const [index, now] of TIMES.slice(0, day.length).entries()) {
    const together = all.filter(({ time, id }) => (late[`${id}@${time}`] ?? time) === now);
    await Promise.all(
      arrange(together).map(({ time, id, registers }) => street.read(time, { [id]: registers })),
    );
    // Six minutes past the border the grace is over: what is not there is estimated.
    await street.advance(GRACE_OVER[index]!);
  }
}

/** The lines of a household's statement for the month, slot by slot. */
export async function statementOf(street: Street, household: string): Promise<BillLine[]> {
  const { database, ledger, settlement, parties, clock, microgrid, householdOf } = street;
  const statements = new StatementService(database, ledger, settlement, parties, clock);
  return statements.lines(
    microgrid,
    await householdOf(household),
    { month: monthOf('2026-06', 'UTC'), period: { from: null, until: null } },
    { limit: 100, after: null },
  );
}

/** All but tokens in batteries: what was lost or unproven on the way may differ. */
export const notStored = (account: string): boolean => !account.includes('storage');

/** Registers from what they rise by. */
export function summed(
  steps: readonly Record<string, Required<Pick<Registers, 'in'>> & Registers>[],
): Day {
  const day: Day = [];
  for (const step of [{}, ...steps] as Record<string, Registers>[]) {
    const before = day.at(-1) ?? {};
    const after: Record<string, Registers> = {};
    for (const [id, rises] of Object.entries(steps[0]!)) {
      const names = Object.keys(rises) as (keyof Registers)[];
      after[id] = Object.fromEntries(
        names.map((name) => [name, (before[id]?.[name] ?? 0) + (step[id]?.[name] ?? 0)]),
      );
    }
    day.push(after);
  }
  return day;
}
