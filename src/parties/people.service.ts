import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS } from '../config.js';
import type { Settings } from '../config.js';
import type { Sql } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import { isSlotBorder, parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import type { Grant } from './access.js';
import { EnrolmentJournal } from './enrolment-journal.js';
import { MarketClockService } from './market-clock.service.js';
import { parse } from './parse.js';
import { alreadyTaken, INSERT_PARTIES } from './enrolment.store.js';
import * as people from './people.js';
import type {
  GrantEnd,
  GrantRequest,
  GrantRow,
  Grantor,
  PersonRequest,
  Tenancy,
} from './people.js';
import * as store from './people.store.js';
import { hashPassword } from './secret.js';
import { REVOKE_OTHERS } from './session.store.js';

/** Grants that are not about a household hold from here on: before any slot. */
const ALWAYS: Instant = '1970-01-01T00:00:00Z';

/** A grant as an operator sees it. */
export interface GrantListing {
  grantId: string;
  person: string;
  name: string;
  role: Grant['role'];
  household: string | null;
  validFrom: Instant;
  validUntil: Instant | null;
}

/** People and what they are granted; nobody gives or takes more than their own grants cover. */
@Injectable()
export class PeopleService {
  constructor(
    private readonly clock: MarketClockService,
    private readonly journal: EnrolmentJournal,
    @Inject(SETTINGS) private readonly settings: Pick<Settings, 'passwordCostLog2'>,
  ) {}

  /**
   * A new person. Without a password they get a one-time password, which must be changed first.
   * @throws Problem 403 when a grant exceeds the grantor's own, 409 when the id is taken
   */
  async createPerson(
    sql: Sql,
    request: PersonRequest,
    by: Grantor,
  ): Promise<{ person: string; oneTimePassword?: string }> {
    const { person, name, password, grants } = parse(people.PERSON, request);
    const rows: GrantRow[] = [];
    for (const grant of grants) rows.push(await this.grantRow(sql, person, grant, by));
    const oneTimePassword = randomBytes(18).toString('base64url');
    const hash = await hashPassword(
      password ?? oneTimePassword,
      randomBytes(16),
      this.settings.passwordCostLog2,
    );
    await this.insertPerson(sql, { person, name, hash, mustChange: !password }, rows, by.personId);
    return password ? { person } : { person, oneTimePassword };
  }

  /** @param one with the hash of the password @throws Problem 409 when the id is taken */
  async insertPerson(
    sql: Sql,
    one: { person: string; name: string; hash: string; mustChange: boolean },
    grants: readonly GrantRow[],
    by: string,
  ): Promise<void> {
    const free = await sql.query(INSERT_PARTIES, [[one.person], ['person']]);
    if (free.length === 0) {
      throw alreadyTaken(`${one.person} is taken already. Choose another user.`);
    }
    await sql.query(store.INSERT_PERSON, [one.person, one.name, one.hash, one.mustChange]);
    await this.insertGrants(sql, one.person, grants, by);
  }

  /** A further grant. @throws Problem 403, 404, 409 */
  async addGrant(sql: Sql, person: string, request: GrantRequest, by: Grantor): Promise<GrantRow> {
    const grant = parse(people.GRANT, request);
    const grants = await this.lockPerson(sql, person);
    const row = await this.grantRow(sql, person, grant, by);
    const same = grants.some(
      (one) =>
        one.role === row.role &&
        one.microgridId === row.microgridId &&
        one.householdId === row.householdId &&
        (one.validUntil === null || one.validFrom === row.validFrom),
    );
    if (same) throw new Problem(409, 'already_granted', `${person} was granted this already.`);
    await this.insertGrants(sql, person, [row], by.personId);
    return row;
  }

  /** Ends a grant at a slot border not before the market's time. @throws Problem 403, 404, 409 */
  async endGrant(sql: Sql, person: string, request: GrantEnd, by: Grantor): Promise<void> {
    const { role, microgrid, household, until } = parse(people.GRANT_END, request);
    const microgridId = microgrid ?? null;
    const householdId = household ?? null;
    const now = await this.clock.now(sql);
    await this.lockPerson(sql, person);
    requireCover(by, [{ role, microgridId }], now);
    if (parseInstant(until) < parseInstant(now)) {
      throw new Problem(409, 'already_passed', `${until} has passed; it is ${now}. Choose later.`);
    }
    const tenancy = householdId && (await this.tenancy(sql, person, microgridId, householdId));
    if (tenancy && !isSlotBorder(parseInstant(until), tenancy.slotMinutes)) {
      throw new Problem(409, 'not_a_slot_border', `${until} is no slot border. Choose one.`);
    }
    const parameters = [person, role, microgridId, householdId, until];
    const [ended] = await sql.query<GrantRow>(store.END_GRANT, parameters);
    if (!ended) throw new Problem(404, 'unknown_grant', `${person} holds no such grant.`);
    await this.note(sql, [people.grantDraft(person, ended, { until }, now, by.personId)]);
  }

  /** Ends a person's access for good. @throws Problem 403, 404 */
  async disable(sql: Sql, person: string, by: Grantor): Promise<void> {
    const facts = { action: 'person-disabled', by: by.personId, person };
    await this.actOn(sql, person, by, `person/${person}/disabled`, facts);
    await sql.query(store.DISABLE_PERSON, [person]);
    await sql.query(REVOKE_OTHERS, [person, null]);
  }

  /**
   * Journals something an operator does to a person in every microgrid it concerns.
   * @throws Problem 403 unless the grantor covers every grant of the person, 404 for nobody
   */
  async actOn(
    sql: Sql,
    person: string,
    by: Grantor,
    cause: string,
    facts: Readonly<Record<string, string>>,
  ): Promise<void> {
    const now = await this.clock.now(sql);
    const held = (await this.lockPerson(sql, person)).filter(
      (grant) => grant.validUntil === null || parseInstant(grant.validUntil) > parseInstant(now),
    );
    // Somebody without any grant belongs to no microgrid: only the deployment's operator may.
    requireCover(by, held.length > 0 ? held : [{ role: 'operator', microgridId: null }], now);
    await this.note(sql, people.actionDrafts(held, cause, now, facts));
  }

  /** @param person '' for somebody who is not known yet */
  async tenancy(
    sql: Sql,
    person: string,
    microgridId: string | null,
    householdId: string,
  ): Promise<Tenancy | undefined> {
    const [row] = await sql.query<Tenancy>(store.TENANCY, [householdId, microgridId, person]);
    return row;
  }

  /** Grants of a microgrid by person, after a position. */
  async grantsIn(
    sql: Sql,
    microgridId: string,
    after: string,
    limit: number,
  ): Promise<GrantListing[]> {
    return sql.query<GrantListing>(store.PEOPLE_OF_MICROGRID, [microgridId, after, limit]);
  }

  private async grantRow(
    sql: Sql,
    person: string,
    grant: GrantRequest,
    by: Grantor,
  ): Promise<GrantRow> {
    const { role } = grant;
    const microgridId = grant.microgrid ?? null;
    requireCover(by, [{ role, microgridId }], await this.clock.now(sql));
    if (!grant.household) {
      return { role, microgridId, householdId: null, validFrom: grant.validFrom ?? ALWAYS };
    }
    const tenancy = await this.tenancy(sql, person, microgridId, grant.household);
    const start = people.tenancyStart(tenancy, grant.validFrom ?? null);
    if ('fault' in start) throw new Problem(409, 'cannot_be_granted', start.fault);
    return { role, microgridId, householdId: grant.household, validFrom: start.validFrom };
  }

  private async insertGrants(
    sql: Sql,
    person: string,
    grants: readonly GrantRow[],
    by: string,
  ): Promise<void> {
    await sql.query(store.INSERT_GRANTS, [person, JSON.stringify(grants)]);
    const now = await this.clock.now(sql);
    const drafts = grants.map((one) => people.grantDraft(person, one, 'granted', now, by));
    await this.note(sql, drafts);
  }

  private async lockPerson(sql: Sql, person: string): Promise<Grant[]> {
    const known = await sql.query(store.LOCK_PERSON, [person]);
    if (known.length === 0)
      throw new Problem(404, 'unknown_person', `There is no person ${person}.`);
    return sql.query<Grant>(store.GRANTS_OF, [person]);
  }

  private async note(sql: Sql, drafts: readonly (people.PlacedDraft | null)[]): Promise<void> {
    for (const placed of drafts) {
      if (placed) await this.journal.append(sql, placed.microgridId, [placed.draft]);
    }
  }
}

function requireCover(
  by: Grantor,
  grants: readonly Pick<Grant, 'role' | 'microgridId'>[],
  now: Instant,
): void {
  if (grants.every((grant) => people.covers(by, grant, now))) return;
  const detail = 'Your grants do not cover this. Ask an operator of the whole deployment.';
  throw new Problem(403, 'forbidden', detail);
}
