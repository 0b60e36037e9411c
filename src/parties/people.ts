/** People and their grants as values: what requests may say, and whose grants cover whose. */

import { z } from 'zod';
import type { Instant, SlotMinutes } from '../units/slot.js';
import { isSlotBorder, parseInstant } from '../units/slot.js';
import { may } from './access.js';
import type { Grant, Role } from './access.js';
import type { EnrolmentDraft } from './enrolment-journal.js';
import { ident, instant } from './parse.js';

/** Long enough that the limit on log-ins outlasts guessing; any characters (NIST SP 800-63B). */
export const PASSWORD = z
  .string()
  .min(10, 'must have at least 10 characters')
  .max(200, 'must have at most 200 characters');

const NAME = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(100, 'must have at most 100 characters')
  .regex(/^[^\p{C}]*$/u, 'must not contain control characters');

/** A role for the deployment, a microgrid, or one household of it. */
export const GRANT = z
  .strictObject({
    role: z.enum(['household', 'operator', 'regulator', 'auditor', 'simulator']),
    microgrid: ident.nullish(),
    household: ident.nullish(),
    validFrom: instant.nullish(),
  })
  .refine((grant) => (grant.role === 'household') === Boolean(grant.household), {
    path: ['household'],
    message: 'belongs to the role household, and only there',
  })
  .refine((grant) => !grant.household || Boolean(grant.microgrid), {
    path: ['microgrid'],
    message: 'must be named together with the household',
  });
export type GrantRequest = z.input<typeof GRANT>;

export const PERSON = z.strictObject({
  person: ident,
  name: NAME,
  password: PASSWORD.nullish(),
  grants: z.array(GRANT).max(100).default([]),
});
export type PersonRequest = z.input<typeof PERSON>;

export const GRANT_END = z.strictObject({
  role: z.enum(['household', 'operator', 'regulator', 'auditor', 'simulator']),
  microgrid: ident.nullish(),
  household: ident.nullish(),
  until: instant,
});

export type GrantEnd = z.input<typeof GRANT_END>;

export const INVITATION = z.strictObject({ validFrom: instant.nullish() });

export type InvitationRequest = z.input<typeof INVITATION>;

export const ACCEPTANCE = z.strictObject({
  token: z.string().max(100),
  user: ident,
  name: NAME,
  password: PASSWORD,
});

export type AcceptanceRequest = z.input<typeof ACCEPTANCE>;

export const PASSWORD_RESET = z.strictObject({ token: z.string().max(100), password: PASSWORD });

export type PasswordResetRequest = z.input<typeof PASSWORD_RESET>;

export const PASSWORD_CHANGE = z.strictObject({
  currentPassword: z.string().max(200),
  password: PASSWORD,
});

export type PasswordChangeRequest = z.input<typeof PASSWORD_CHANGE>;

/** Who gives or ends a grant: a person with their own grants. */
export interface Grantor {
  personId: string;
  grants: readonly Grant[];
}

/** The person at the machine itself, who holds the database anyway. */
export const COMMAND_LINE: Grantor = {
  personId: 'command-line',
  grants: [
    {
      role: 'operator',
      microgridId: null,
      householdId: null,
      validFrom: '1970-01-01T00:00:00Z',
      validUntil: null,
    },
  ],
};

/**
 * Whether the grantor may give or end this grant, and so change its holder's password: an operator
 * of a microgrid within that microgrid, an operator of the deployment everywhere.
 */
export function covers(
  grantor: Grantor,
  grant: { role: Role; microgridId: string | null },
  now: Instant,
): boolean {
  return grant.microgridId === null || grant.role === 'simulator'
    ? may(grantor.grants, 'deployment.grant', {}, now)
    : may(grantor.grants, 'operator.write', { microgrid: grant.microgridId }, now);
}

/** What is known of a household for whom somebody is to be granted access. */
export interface Tenancy {
  microgridId: string;
  slotMinutes: SlotMinutes;
  activeFrom: Instant;
  activeUntil: Instant | null;
  /** When the last grant of somebody else ended, if one has an end. */
  vacatedAt: Instant | null;
}

/**
 * Since when a new tenant may see the household, or why not then. Never from before somebody else's
 * grant ended.
 */
export function tenancyStart(
  tenancy: Tenancy | undefined,
  wanted: Instant | null,
): { validFrom: Instant } | { fault: string } {
  if (!tenancy) return { fault: 'There is no such household in this microgrid.' };
  if (tenancy.activeUntil !== null) {
    return { fault: `The household has moved out, effective ${tenancy.activeUntil}.` };
  }
  const { activeFrom, vacatedAt } = tenancy;
  const earliest =
    vacatedAt !== null && parseInstant(vacatedAt) > parseInstant(activeFrom)
      ? vacatedAt
      : activeFrom;
  const validFrom = wanted ?? earliest;
  if (parseInstant(validFrom) < parseInstant(earliest)) {
    return { fault: `Access can begin at ${earliest} at the earliest, not at ${validFrom}.` };
  }
  if (!isSlotBorder(parseInstant(validFrom), tenancy.slotMinutes)) {
    return { fault: `${validFrom} is no slot border.` };
  }
  return { validFrom };
}

/** A grant as it is stored. */
export interface GrantRow {
  role: Role;
  microgridId: string | null;
  householdId: string | null;
  validFrom: Instant;
}

/** A draft and the journal it belongs to. */
export interface PlacedDraft {
  microgridId: string;
  draft: EnrolmentDraft;
}

/** The record of a grant given or ended; null for one that is bound to no microgrid. */
export function grantDraft(
  person: string,
  grant: GrantRow,
  change: 'granted' | { until: Instant },
  now: Instant,
  by: string,
): PlacedDraft | null {
  const { role, householdId, validFrom } = grant;
  const verb = change === 'granted' ? 'granted' : 'ended';
  const facts = {
    action: `access-${verb}`,
    by,
    person,
    role,
    validFrom,
    ...(change === 'granted' ? {} : { until: change.until }),
  };
  const cause = `person/${person}/${verb}/${role}/${householdId ?? ''}/${validFrom}`;
  return placed(grant, cause, now, facts);
}

/** What an operator did to a person, once in every microgrid and household the grants name. */
export function actionDrafts(
  grants: readonly Pick<GrantRow, 'microgridId' | 'householdId'>[],
  cause: string,
  now: Instant,
  facts: Readonly<Record<string, string>>,
): PlacedDraft[] {
  const places = new Map(grants.map((one) => [`${one.microgridId}/${one.householdId}`, one]));
  return [...places.values()].flatMap((place) => {
    const where = place.householdId === null ? cause : `${cause}/${place.householdId}`;
    return placed(place, where, now, facts) ?? [];
  });
}

function placed(
  place: Pick<GrantRow, 'microgridId' | 'householdId'>,
  cause: string,
  now: Instant,
  facts: Readonly<Record<string, string>>,
): PlacedDraft | null {
  const { microgridId, householdId } = place;
  if (microgridId === null) return null;
  const draft: EnrolmentDraft = {
    kind: 'operator-action',
    at: now,
    cause,
    keyHolder: householdId ?? '',
    households: householdId === null ? [] : [householdId],
    facts: householdId === null ? facts : { ...facts, household: householdId },
    transfers: [],
  };
  return { microgridId, draft };
}
