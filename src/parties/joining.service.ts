import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS } from '../config.js';
import type { Settings } from '../config.js';
import { DatabaseService } from '../database/database.service.js';
import type { Sql } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import type { Caller } from './access.decorator.js';
import type { EnrolmentRequest } from './enrolment.js';
import { EnrolmentJournal } from './enrolment-journal.js';
import { MarketClockService } from './market-clock.service.js';
import type { IssuedSecret } from './microgrid.js';
import { parse } from './parse.js';
import { PartiesService } from './parties.service.js';
import * as people from './people.js';
import type { Grantor, InvitationRequest } from './people.js';
import { PeopleService } from './people.service.js';
import * as store from './people.store.js';
import { hashPassword, sha256 } from './secret.js';
import { SessionService } from './session.service.js';
import { REVOKE_OTHERS } from './session.store.js';

/** A token shown once, by which somebody joins a household or sets a new password. */
export interface IssuedToken {
  token: string;
  expiresAt: Instant;
}

export interface Invitation extends IssuedToken {
  household: string;
  validFrom: Instant;
}

const INVITATION_HOURS = 7 * 24;
const RESET_HOURS = 24;

interface UsedToken {
  personId: string | null;
  microgridId: string | null;
  householdId: string | null;
  validFrom: Instant | null;
}

/** How people come in and come by their passwords: invitations, move-ins, resets, changes. */
@Injectable()
export class JoiningService {
  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly parties: PartiesService,
    private readonly people: PeopleService,
    private readonly sessions: SessionService,
    private readonly journal: EnrolmentJournal,
    @Inject(SETTINGS) private readonly settings: Pick<Settings, 'passwordCostLog2'>,
  ) {}

  /** Lets somebody new join a household. @throws Problem 409 when it cannot be joined then */
  async invite(
    sql: Sql,
    microgridId: string,
    householdId: string,
    request: InvitationRequest,
    by: string,
  ): Promise<Invitation> {
    const { validFrom: wanted } = parse(people.INVITATION, request);
    const tenancy = await this.people.tenancy(sql, '', microgridId, householdId);
    const start = people.tenancyStart(tenancy, wanted ?? null);
    if ('fault' in start) throw cannotBeJoined(start.fault);
    const { validFrom } = start;
    const scope = [null, microgridId, householdId, validFrom];
    const issued = await storeToken(sql, newToken(), 'invitation', INVITATION_HOURS, scope);
    await this.journal.append(sql, microgridId, [
      {
        kind: 'operator-action',
        at: await this.clock.now(sql),
        cause: `invitation/${causeOf(issued.token)}`,
        keyHolder: householdId,
        households: [householdId],
        facts: { action: 'invited', by, household: householdId, validFrom },
        transfers: [],
      },
    ]);
    return { household: householdId, validFrom, ...issued };
  }

  /** A new household from a slot border on, with an invitation for who moves in. */
  async moveIn(
    sql: Sql,
    microgridId: string,
    member: NonNullable<EnrolmentRequest['members']>[number],
    by: string,
  ): Promise<{ items: IssuedSecret[]; invitation: Invitation }> {
    const items = await this.parties.enrolMembers(sql, microgridId, { members: [member] }, by);
    const invitation = await this.invite(sql, microgridId, member.household, {}, by);
    return { items, invitation };
  }

  /** Makes the invited person, with the grant they were invited to. @throws Problem 403, 409 */
  async acceptInvitation(
    request: people.AcceptanceRequest,
  ): Promise<{ person: string; household: string; validFrom: Instant }> {
    const { token, user, name, password } = parse(people.ACCEPTANCE, request);
    await this.requireOpen(token, 'invitation');
    const hash = await hashPassword(password, randomBytes(16), this.settings.passwordCostLog2);
    return this.database.transaction(async (sql) => {
      const {
        microgridId,
        householdId,
        validFrom: wanted,
      } = await useToken(sql, token, 'invitation');
      const tenancy = await this.people.tenancy(sql, user, microgridId, householdId!);
      const earliest = people.tenancyStart(tenancy, null);
      if ('fault' in earliest) throw cannotBeJoined(earliest.fault);
      // Somebody may have moved out since the invitation was written.
      const invited = people.tenancyStart(tenancy, wanted);
      const { validFrom } = 'fault' in invited ? earliest : invited;
      await this.people.insertPerson(
        sql,
        { person: user, name, hash, mustChange: false },
        [{ role: 'household', microgridId, householdId, validFrom }],
        'invitation',
      );
      return { person: user, household: householdId!, validFrom };
    });
  }

  /** A token by which the person sets a new password. @throws Problem 403, 404 */
  async issueReset(sql: Sql, person: string, by: Grantor): Promise<IssuedToken> {
    const token = newToken();
    const facts = { action: 'password-reset-issued', by: by.personId, person };
    await this.people.actOn(sql, person, by, `password-reset/${causeOf(token)}`, facts);
    await sql.query(store.END_RESETS, [person]);
    const scope = [person, null, null, null];
    return storeToken(sql, token, 'password-reset', RESET_HOURS, scope);
  }

  /** Sets the password by a reset token, and ends every session. @throws Problem 403 */
  async resetPassword(request: people.PasswordResetRequest): Promise<void> {
    const { token, password } = parse(people.PASSWORD_RESET, request);
    await this.requireOpen(token, 'password-reset');
    const hash = await hashPassword(password, randomBytes(16), this.settings.passwordCostLog2);
    await this.database.transaction(async (sql) => {
      const { personId } = await useToken(sql, token, 'password-reset');
      await setPassword(sql, personId!, hash, null);
    });
  }

  /**
   * Sets the caller's own password and ends their other sessions.
   * @throws Problem 401 when the current password is wrong; RetryLater after too many tries
   */
  async changePassword(
    caller: Caller,
    request: people.PasswordChangeRequest,
    address: string,
  ): Promise<void> {
    const { currentPassword, password } = parse(people.PASSWORD_CHANGE, request);
    await this.sessions.confirm(caller.personId, currentPassword, address);
    const hash = await hashPassword(password, randomBytes(16), this.settings.passwordCostLog2);
    await this.database.transaction((sql) =>
      setPassword(sql, caller.personId, hash, caller.sessionId),
    );
  }

  /** Before the expensive hash, so that nobody without a token can make us compute it. */
  private async requireOpen(token: string, purpose: Purpose): Promise<void> {
    const open = await this.database.query(store.IS_OPEN, [sha256(token), purpose]);
    if (open.length === 0) throw tokenRefused();
  }
}

type Purpose = 'invitation' | 'password-reset';

function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** @param scope person, microgrid, household, valid from */
async function storeToken(
  sql: Sql,
  token: string,
  purpose: Purpose,
  hours: number,
  scope: readonly (string | null)[],
): Promise<IssuedToken> {
  const parameters = [sha256(token), purpose, ...scope, hours];
  const [row] = await sql.query<{ expiresAt: Instant }>(store.INSERT_INVITATION, parameters);
  return { token, expiresAt: row!.expiresAt };
}

/** Good once: a second use, even at the same moment, finds it used. */
async function useToken(sql: Sql, token: string, purpose: Purpose): Promise<UsedToken> {
  const parameters = [sha256(token), purpose];
  const [used] = await sql.query<UsedToken>(store.USE_INVITATION, parameters);
  if (!used) throw tokenRefused();
  return used;
}

async function setPassword(
  sql: Sql,
  person: string,
  hash: string,
  keptSession: string | null,
): Promise<void> {
  const set = await sql.query(store.SET_PASSWORD, [person, hash]);
  if (set.length === 0) throw tokenRefused();
  await sql.query(store.END_RESETS, [person]);
  await sql.query(REVOKE_OTHERS, [person, keptSession]);
}

/** Names the record without giving the token away. */
function causeOf(token: string): string {
  return sha256(`cause/${token}`).toString('hex').slice(0, 32);
}

function tokenRefused(): Problem {
  const detail = 'This token is unknown, used or out of date. Ask your operator for a new one.';
  return new Problem(403, 'token_refused', detail);
}

function cannotBeJoined(fault: string): Problem {
  return new Problem(409, 'cannot_be_joined', fault);
}
