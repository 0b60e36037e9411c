import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { NOTHING, plus, totalWh, type ByQuality } from '../settlement/by-quality.js';
import { toSafeInteger } from '../units/integer.js';
import { costMicro } from '../units/money.js';
import { isSlotBorder, parseInstant, type Instant, type SlotMinutes } from '../units/slot.js';

/** What a run of a program awards, and to whom: a rate per kWh of neighbors' energy used. */
export interface Award {
  readonly householdId: string;
  readonly pseudonym: string;
  readonly claimedWh: number;
  /** What the claims rest on. */
  readonly byQuality: ByQuality;
  readonly amountMicro: number;
}

/** What a household claimed in a part of a run's period. */
export interface Claim {
  readonly householdId: string;
  readonly pseudonym: string;
  readonly byQuality: ByQuality;
}

/** Slots that start in [from, to). */
export interface Period {
  readonly from: Instant;
  readonly to: Instant;
}

/** A household's consent, for slots in [joinedFrom, leftAt); null while it lasts. */
export interface Membership {
  readonly householdId: string;
  readonly pseudonym: string;
  readonly joinedFrom: Instant;
  readonly leftAt: Instant | null;
}

/**
 * One award a household: its claims, summed over all its memberships, times the rate, rounded half
 * to even once. An award that rounds to nothing is none. Ordered by pseudonym, because the order in
 * which records are numbered is seen by the regulator and must not be that of the households.
 */
export function awardsOf(claims: readonly Claim[], rateMicroPerKwh: number): Award[] {
  const byHousehold = new Map<string, Claim>();
  for (const claim of claims) {
    const before = byHousehold.get(claim.householdId)?.byQuality ?? NOTHING;
    const byQuality = plus(before, claim.byQuality);
    byHousehold.set(claim.householdId, { ...claim, byQuality });
  }
  return [...byHousehold.values()]
    .map((claim) => {
      const claimedWh = totalWh(claim.byQuality);
      return { ...claim, claimedWh, amountMicro: costMicro(claimedWh, rateMicroPerKwh) };
    })
    .filter(({ amountMicro }) => amountMicro > 0)
    .sort((a, b) => (a.pseudonym < b.pseudonym ? -1 : 1));
}

/** What all awards of a run come to. */
export function totalMicro(awards: readonly Award[]): number {
  return toSafeInteger(
    awards.reduce((sum, { amountMicro }) => sum + BigInt(amountMicro), 0n),
    'awards',
  );
}

/** A part of a run's period, and the memberships that hold in all of it and nothing more. */
export interface ClaimWindow extends Period {
  readonly members: readonly Membership[];
}

/** The memberships of a period by the part of it that they cover: as few windows as there are parts. */
export function claimWindows(members: readonly Membership[], period: Period): ClaimWindow[] {
  const windows = new Map<string, { from: Instant; to: Instant; members: Membership[] }>();
  for (const member of members) {
    const from = laterOf(period.from, member.joinedFrom);
    const to = member.leftAt === null ? period.to : earlierOf(period.to, member.leftAt);
    if (!isBefore(from, to)) continue;
    const key = `${from}/${to}`;
    const window = windows.get(key) ?? { from, to, members: [] };
    window.members.push(member);
    windows.set(key, window);
  }
  return [...windows.values()];
}

/** In order of precedence. */
export type PeriodFault = 'not_whole_slots' | 'not_closed_yet' | 'overlaps_earlier_run';

/** Why a program cannot be run for this period, or null when it can. */
export function periodFault(
  period: Period,
  context: {
    readonly slotMinutes: SlotMinutes;
    readonly closedThrough: Instant | null;
    readonly earlierRuns: readonly Period[];
  },
): PeriodFault | null {
  const { slotMinutes, closedThrough, earlierRuns } = context;
  const borders = [period.from, period.to].map(parseInstant);
  if (!isBefore(period.from, period.to)) return 'not_whole_slots';
  if (!borders.every((border) => isSlotBorder(border, slotMinutes))) return 'not_whole_slots';
  if (closedThrough === null || isBefore(closedThrough, period.to)) return 'not_closed_yet';
  const overlaps = earlierRuns.some(
    (run) => isBefore(run.from, period.to) && isBefore(period.from, run.to),
  );
  return overlaps ? 'overlaps_earlier_run' : null;
}

/** The name under which a program knows a household: the same for ever, another in each program. */
export function pseudonymOf(programKey: Uint8Array, householdId: string): string {
  return bytesToHex(hmac(sha256, programKey, utf8ToBytes(householdId))).slice(0, 32);
}

function isBefore(a: Instant, b: Instant): boolean {
  return parseInstant(a) < parseInstant(b);
}

function laterOf(a: Instant, b: Instant): Instant {
  return isBefore(a, b) ? b : a;
}

function earlierOf(a: Instant, b: Instant): Instant {
  return isBefore(a, b) ? a : b;
}
