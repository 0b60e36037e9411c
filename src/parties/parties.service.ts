import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../database/database.service.js';
import type { Sql } from '../database/database.service.js';
import { groupBy } from '../units/group-by.js';
import { Problem } from '../units/problem.js';
import { isSlotBorder, parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import type { Caller } from './access.decorator.js';
import { ENROLMENT, enrolmentDrafts, enrolmentFaults, enrolmentRows } from './enrolment.js';
import type { Enrolment, EnrolmentFault, EnrolmentRequest } from './enrolment.js';
import { EnrolmentJournal } from './enrolment-journal.js';
import { FOUNDING, foundedMicrogrid, foundingDraft, TARIFF } from './founding.js';
import { tariffDraft, tariffFault } from './founding.js';
import type { FoundingRequest, TariffRequest } from './founding.js';
import { MarketClockService } from './market-clock.service.js';
import type {
  Household,
  IssuedSecret,
  Meter,
  Microgrid,
  NetworkNode,
  NetworkVersion,
  Tariff,
  TariffBand,
  TariffVersion,
} from './microgrid.js';
import { alreadyTaken, insertMembers, readEnrolled } from './enrolment.store.js';
import {
  NETWORK,
  networkDraft,
  networkIn,
  networkRuleFault,
  type NetworkRequest,
} from './network.js';
import { parse } from './parse.js';
import * as store from './parties.store.js';
import * as sessions from './session.store.js';
import { sha256 } from './secret.js';
import { tariffIn } from './tariff.js';

/**
 * Who takes part, and on what terms: microgrids, households, meters and tariffs are read here by
 * every room, and founded, enrolled and ended here, each with its record in the same transaction.
 */
@Injectable()
export class PartiesService {
  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly journal: EnrolmentJournal,
  ) {}

  async microgrid(sql: Sql, microgridId: string): Promise<Microgrid | null> {
    const [row] = await sql.query<Microgrid>(store.MICROGRID_BY_ID, [microgridId]);
    return row ?? null;
  }

  async microgrids(sql: Sql): Promise<Microgrid[]> {
    return sql.query<Microgrid>(store.MICROGRIDS);
  }

  async householdOf(sql: Sql, householdId: string): Promise<Household | null> {
    const [row] = await sql.query<Household>(store.HOUSEHOLD_BY_ID, [householdId]);
    return row ?? null;
  }

  /** Those of a microgrid that have one of these names or ids; others are absent. */
  async neighbors(
    sql: Sql,
    microgridId: string,
    named: { readonly aliases?: readonly string[]; readonly ids?: readonly string[] },
  ): Promise<Pick<Household, 'householdId' | 'alias'>[]> {
    return sql.query(store.NEIGHBORS, [microgridId, named.aliases ?? [], named.ids ?? []]);
  }

  /** Households of a microgrid, moved out or not, ordered by id, after `after`. */
  async householdsAfter(
    sql: Sql,
    microgridId: string,
    after: string,
    limit: number,
  ): Promise<Household[]> {
    return sql.query<Household>(store.HOUSEHOLDS_AFTER, [microgridId, after, limit]);
  }

  /** All meters these households ever had, ordered by id. */
  async metersOf(sql: Sql, microgridId: string, householdIds: readonly string[]): Promise<Meter[]> {
    return sql.query<Meter>(store.METERS_OF_HOUSEHOLDS, [microgridId, householdIds]);
  }

  /** Those of these meters that the microgrid has, ordered by id. */
  async metersById(sql: Sql, microgridId: string, meterIds: readonly string[]): Promise<Meter[]> {
    return sql.query<Meter>(store.METERS_BY_ID, [microgridId, meterIds]);
  }

  /** Who is active in the slot that starts then, ordered by id. */
  async members(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
  ): Promise<{ households: Household[]; meters: Meter[] }> {
    const households = await sql.query<Household>(store.HOUSEHOLDS_IN_SLOT, [
      microgridId,
      slotStart,
    ]);
    const meters = await sql.query<Meter>(store.METERS_IN_SLOT, [microgridId, slotStart]);
    return { households, meters };
  }

  /** The tariff that a slot starting at `at` is settled with. */
  async tariffAt(sql: Sql, microgridId: string, at: Instant): Promise<Tariff> {
    const microgrid = await this.microgrid(sql, microgridId);
    if (!microgrid) throw new Error(`no microgrid ${microgridId}`);
    return tariffIn(await this.tariffsBetween(sql, microgridId, at, at), microgrid.timeZone, at);
  }

  /**
   * The versions that hold somewhere in [from, to), in order; at least one. `tariffIn` picks from
   * them for any instant in between.
   */
  async tariffsBetween(
    sql: Sql,
    microgridId: string,
    from: Instant,
    to: Instant,
  ): Promise<TariffVersion[]> {
    const rows = await sql.query<TariffBand & { validFrom: Instant }>(store.TARIFF_VERSIONS, [
      microgridId,
      from,
      to,
    ]);
    const versions = new Map<Instant, TariffVersion>();
    for (const { validFrom, ...band } of rows) {
      const version = versions.get(validFrom) ?? { validFrom, bands: [] };
      version.bands.push(band);
      versions.set(validFrom, version);
    }
    return [...versions.values()];
  }

  /** The signed-in person behind an access token, or null when it is unknown, ended or revoked. */
  async callerOf(token: string): Promise<Caller | null> {
    const [row] = await this.database.query<Caller>(sessions.CALLER_BY_TOKEN, [sha256(token)]);
    if (!row) return null;
    // A one-time password opens nothing but its own change.
    return row.mustChangePassword ? { ...row, grants: [] } : row;
  }

  /** Of these sessions, those that are neither revoked nor run out, with their people not disabled. */
  async liveSessions(sessionIds: readonly string[]): Promise<Set<string>> {
    const rows = await this.database.query<{ sessionId: string }>(sessions.LIVE_SESSIONS, [
      sessionIds,
    ]);
    return new Set(rows.map((row) => row.sessionId));
  }

  /**
   * A new microgrid with its first tariff.
   * @throws Problem 400 for a request that does not fit, 409 when the id is taken
   */
  async createMicrogrid(sql: Sql, request: FoundingRequest, by: string): Promise<Microgrid> {
    const founding = parse(FOUNDING, request);
    const microgrid = foundedMicrogrid(founding);
    const inserted = await sql.query(store.INSERT_MICROGRID, [
      microgrid.microgridId,
      microgrid.name,
      microgrid.timeZone,
      microgrid.currency,
      microgrid.slotMinutes,
      microgrid.mechanism,
      microgrid.pricing,
      microgrid.priceKThousandths,
      microgrid.rationing,
      microgrid.sharingKey,
      microgrid.sharingPriceMicroPerKwh,
      microgrid.graceSeconds,
      microgrid.gateClosureSeconds,
      microgrid.correctionDays,
      microgrid.unexplainedToleranceWh,
      microgrid.creditLimitMicro,
      microgrid.startsAt,
    ]);
    if (inserted.length === 0) {
      throw alreadyTaken(
        `There is a microgrid ${microgrid.microgridId} already. Choose another id.`,
      );
    }
    const now = await this.clock.now(sql);
    await this.insertTariff(sql, microgrid, microgrid.startsAt, founding.tariff.bands);
    await this.journal.append(sql, microgrid.microgridId, [
      foundingDraft(microgrid, now, by),
      tariffDraft(microgrid.startsAt, founding.tariff.bands, now),
    ]);
    return microgrid;
  }

  /**
   * A version of the tariff that begins at a slot border not before the market's time.
   * @throws Problem 409 when it would be retroactive or one begins then already
   */
  async addTariff(sql: Sql, microgridId: string, request: TariffRequest): Promise<TariffVersion> {
    const version = parse(TARIFF, request);
    const microgrid = await this.lockMicrogrid(sql, microgridId);
    const now = await this.clock.now(sql);
    const fault = tariffFault(version.validFrom, microgrid, now);
    if (fault) throw new Problem(409, 'tariff_not_possible', fault);
    await this.insertTariff(sql, microgrid, version.validFrom, version.bands);
    await this.journal.append(sql, microgridId, [
      tariffDraft(version.validFrom, version.bands, now),
    ]);
    return version;
  }

  /** The network in force at an instant; null where the wires count for nothing. */
  async networkAt(sql: Sql, microgridId: string, at: Instant): Promise<NetworkVersion | null> {
    return networkIn(await this.networksBetween(sql, microgridId, at, at), at);
  }

  /** The versions of the network that hold somewhere in [from, to], in order; `networkIn` picks. */
  async networksBetween(
    sql: Sql,
    microgridId: string,
    from: Instant,
    to: Instant,
  ): Promise<NetworkVersion[]> {
    const rows = await sql.query<NetworkNode & { validFrom: Instant }>(store.NETWORK_VERSIONS, [
      microgridId,
      from,
      to,
    ]);
    return [...groupBy(rows, ({ validFrom }) => validFrom)].map(([validFrom, nodes]) => ({
      validFrom,
      nodes: nodes.map(({ node, parent, feeMicroPerKwh, capacityUpW, capacityDownW }) => ({
        node,
        parent,
        feeMicroPerKwh,
        capacityUpW,
        capacityDownW,
      })),
    }));
  }

  /**
   * A version of the network that begins at a slot border not before the market's time.
   * @throws Problem 409 when it would be retroactive, one begins then already, or the mechanism
   *   knows no network
   */
  async addNetwork(
    sql: Sql,
    microgridId: string,
    request: NetworkRequest,
    by: string,
  ): Promise<NetworkVersion> {
    const version = parse(NETWORK, request);
    const microgrid = await this.lockMicrogrid(sql, microgridId);
    const now = await this.clock.now(sql);
    const fault = networkRuleFault(microgrid) ?? tariffFault(version.validFrom, microgrid, now);
    if (fault) throw new Problem(409, 'network_not_possible', fault);
    const inserted = await sql.query(store.INSERT_NETWORK, [
      microgridId,
      version.validFrom,
      JSON.stringify(version.nodes),
    ]);
    if (inserted.length === 0) {
      const { validFrom } = version;
      throw alreadyTaken(`A network begins at ${validFrom} already. Choose another slot border.`);
    }
    await this.journal.append(sql, microgridId, [networkDraft(version, now, by)]);
    return version;
  }

  /** What stands in the way of an enrolment; empty when `enrolMembers` would accept it. */
  async enrolmentFaults(
    sql: Sql,
    microgridId: string,
    enrolment: Enrolment,
  ): Promise<EnrolmentFault[]> {
    const microgrid = await this.lockMicrogrid(sql, microgridId);
    return enrolmentFaults(
      enrolment,
      await readEnrolled(sql, microgrid, enrolment, await this.clock.now(sql)),
    );
  }

  /**
   * Enrols members with their meters, and gateways: all of them or none.
   * @returns a secret for every new gateway, household and meter, which is kept nowhere
   * @throws Problem 400 for a request that does not fit, 409 naming what stands in the way
   */
  async enrolMembers(
    sql: Sql,
    microgridId: string,
    request: EnrolmentRequest,
    by: string,
  ): Promise<IssuedSecret[]> {
    const enrolment = parse(ENROLMENT, request);
    const microgrid = await this.lockMicrogrid(sql, microgridId);
    const enrolled = await readEnrolled(sql, microgrid, enrolment, await this.clock.now(sql));
    const faults = enrolmentFaults(enrolment, enrolled);
    if (faults.length > 0) throw refusal(faults);
    const rows = enrolmentRows(enrolment, enrolled);
    const issued = await insertMembers(sql, microgridId, rows);
    await this.journal.append(sql, microgridId, enrolmentDrafts(rows, enrolled.now, by));
    return issued;
  }

  /**
   * Ends a household at a slot border: the household, its meters, the grants of its people, its open
   * invitations and its devices' access. The next tenant is a new household.
   * @throws Problem 404 for no such household, 409 when it cannot end then
   */
  async moveOut(
    sql: Sql,
    microgridId: string,
    householdId: string,
    at: Instant,
    by: string,
  ): Promise<{ meters: string[] }> {
    const microgrid = await this.lockMicrogrid(sql, microgridId);
    const household = await this.householdOf(sql, householdId);
    if (household?.microgridId !== microgridId) {
      throw new Problem(404, 'unknown_household', `There is no household ${householdId} here.`);
    }
    const now = await this.clock.now(sql);
    if (!isSlotBorder(parseInstant(at), microgrid.slotMinutes)) {
      throw new Problem(409, 'not_a_slot_border', `${at} is no slot border. Choose one.`);
    }
    if (parseInstant(at) < parseInstant(now)) {
      throw new Problem(
        409,
        'already_passed',
        `${at} has passed. Choose a slot border from ${now} on.`,
      );
    }
    const ended = await sql.query(store.END_HOUSEHOLD, [microgridId, householdId, at]);
    if (ended.length === 0) {
      throw new Problem(
        409,
        'cannot_end_then',
        `${householdId} has moved out already, or begins only at ${household.activeFrom}.`,
      );
    }
    const meters = (
      await sql.query<{ meterId: string }>(store.END_METERS, [microgridId, householdId, at])
    ).map((row) => row.meterId);
    await sql.query(store.END_GRANTS, [microgridId, householdId, at]);
    await sql.query(store.END_INVITATIONS, [microgridId, householdId]);
    await sql.query(store.END_CREDENTIALS, [[householdId, ...meters], at]);
    await this.journal.append(sql, microgridId, [
      {
        kind: 'operator-action',
        at: now,
        cause: `household/${householdId}/moved-out`,
        keyHolder: householdId,
        households: [householdId],
        facts: { action: 'moved-out', by, household: householdId, until: at, meters },
        transfers: [],
      },
    ]);
    return { meters };
  }

  private async lockMicrogrid(sql: Sql, microgridId: string): Promise<Microgrid> {
    const [microgrid] = await sql.query<Microgrid>(store.LOCK_MICROGRID, [microgridId]);
    if (!microgrid) {
      throw new Problem(404, 'unknown_microgrid', `There is no microgrid ${microgridId}.`);
    }
    return microgrid;
  }

  private async insertTariff(
    sql: Sql,
    microgrid: Microgrid,
    validFrom: Instant,
    bands: readonly TariffBand[],
  ): Promise<void> {
    const inserted = await sql.query(store.INSERT_TARIFF, [
      microgrid.microgridId,
      validFrom,
      JSON.stringify(bands),
    ]);
    if (inserted.length === 0) {
      throw alreadyTaken(`A tariff begins at ${validFrom} already. Choose another slot border.`);
    }
  }
}

function refusal(faults: readonly EnrolmentFault[]): Problem {
  const shown = faults.slice(0, 10).map((fault) => {
    const member = fault.member === null ? '' : `members.${fault.member}.`;
    const meter = fault.meter === null ? '' : `meters.${fault.meter}.`;
    return `${member}${meter}${fault.field}: ${fault.detail}`;
  });
  const more = faults.length > shown.length ? `; and ${faults.length - shown.length} more` : '';
  return new Problem(409, 'enrolment_refused', `${shown.join('; ')}${more}. Nothing was enrolled.`);
}
