import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { verifySecret } from '../broker/mosquitto-password.js';
import { DatabaseService } from '../database/database.service.js';
import type { Sql } from '../database/database.service.js';
import { groupBy } from '../units/group-by.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import { mayPublish, maySubscribe } from './access.js';
import type { DeviceKind, Principal } from './access.js';
import { BoundedSet } from './bounded-set.js';
import * as store from './device.store.js';
import { alreadyTaken, INSERT_PARTIES } from './enrolment.store.js';
import { EnrolmentJournal } from './enrolment-journal.js';
import { MarketClockService } from './market-clock.service.js';
import { causeOfDevice, deviceTopics } from './meter-profile.js';
import type { MeterProfile } from './meter-profile.js';
import type { IssuedSecret } from './microgrid.js';

/** A device as a broker's password file lists it. */
export interface Credential {
  username: string;
  kind: DeviceKind;
  microgridId: string | null;
  secretHash: string;
}

/** How long a revoked, rotated or re-enrolled device may go unnoticed on an open connection. */
const RECHECK_MILLIS = 30_000;
/** How often a device that is refused may have its meters and topics looked up again. */
const RENEWED_MILLIS = 200;
/** Devices that publish at the same moment are looked up together. */
const GATHER_MILLIS = 20;
const REMEMBERED_VERIFICATIONS = 50_000;

/**
 * Devices at the broker's door: who they are, and which topics they may use. The table is
 * `access.ts`; this adds who is enrolled now.
 */
@Injectable()
export class DeviceService {
  /** Digests of secrets that were right, so that thousands may reconnect at once. */
  private readonly verified = new BoundedSet(REMEMBERED_VERIFICATIONS);
  private readonly current = new WeakMap<
    Principal,
    { checkedAt: number; principal: Principal | null }
  >();
  private readonly secretHashes = new WeakMap<Principal, string>();
  private gathering: Promise<Map<string, Device>> | undefined;
  private gathered = new Set<string>();

  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly journal: EnrolmentJournal,
  ) {}

  /** The device behind a user name and secret, or null. */
  async authenticate(
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<Principal | null> {
    if (username === undefined || password === undefined || password.length > 256) return null;
    const device = (await this.devices([username])).get(username);
    if (!device || !(await this.isSecret(password, device.secretHash))) return null;
    const principal = principalOf(device);
    this.remember(principal, device.secretHash, principal);
    return principal;
  }

  /** The device of this name, for a connection whose certificate says it; null when it has no access. */
  async identify(username: string): Promise<Principal | null> {
    const device = (await this.devices([username])).get(username);
    if (!device) return null;
    const principal = principalOf(device);
    this.remember(principal, device.secretHash, principal);
    return principal;
  }

  /** Those of the connected whose access has ended, or whose secret is another one by now. */
  async ended(principals: readonly Principal[]): Promise<Principal[]> {
    const now = await this.clock.now();
    const usernames = [...new Set(principals.map(({ username }) => username))];
    const rows = await this.database.query<Credential>(store.CREDENTIALS, [usernames, now]);
    const hashes = new Map(rows.map((row) => [row.username, row.secretHash]));
    return principals.filter(
      (principal) => hashes.get(principal.username) !== this.secretHashes.get(principal),
    );
  }

  /**
   * Whether the device may publish there. What a device with topics of its own says elsewhere, such
   * as its state or that it is online, is ignored: it cannot be made to keep it to itself.
   */
  mayPublish(
    principal: Principal,
    topic: string,
  ): Promise<boolean | 'ignored'> | boolean | 'ignored' {
    // Nearly every message is this one, and promises would cost more than the answer.
    const known = this.trusted(principal, RECHECK_MILLIS);
    if (known && mayPublish(known, topic)) return true;
    return this.mayPublishNow(principal, topic);
  }

  private async mayPublishNow(principal: Principal, topic: string): Promise<boolean | 'ignored'> {
    const now = await this.asEnrolledNow(principal);
    if (now === null) return false;
    if (mayPublish(now, topic)) return true;
    if (now.kind !== 'gateway' && now.kind !== 'meter') return false;
    // A meter may have been put under the gateway, or another device in its place, a moment ago.
    const later = await this.asEnrolledNow(principal, RENEWED_MILLIS);
    if (later === null) return false;
    return mayPublish(later, topic) || (later.topics.length > 0 && 'ignored');
  }

  async maySubscribe(principal: Principal, filter: string): Promise<boolean> {
    const now = await this.asEnrolledNow(principal);
    return now !== null && maySubscribe(now, filter);
  }

  /**
   * All credentials that hold, for a stock broker's files, with the meters of every gateway and the
   * topics of those whose devices do not keep to the native ones.
   */
  async credentials(sql: Sql): Promise<{
    credentials: Credential[];
    meters: Map<string, string[]>;
    topics: Map<string, string[]>;
  }> {
    const now = await this.clock.now(sql);
    const credentials = await sql.query<Credential>(store.ALL_CREDENTIALS, [now]);
    const gateways = credentials.filter((one) => one.kind === 'gateway');
    return {
      credentials,
      meters: await metersOf(
        sql,
        gateways.map((one) => one.username),
        now,
      ),
      topics: await topicsOf(sql, null, now),
    };
  }

  /**
   * The service's own credential at an external broker; null when it exists already.
   * @throws Problem 409 when the name is taken by somebody else
   */
  async enrolService(sql: Sql, username: string): Promise<IssuedSecret | null> {
    const free = await sql.query(INSERT_PARTIES, [[username], ['service']]);
    if (free.length > 0) {
      const [issued] = await store.issueSecrets(sql, null, [{ username, kind: 'service' }]);
      return issued!;
    }
    const [known] = await sql.query(store.SERVICE, [username]);
    if (!known) throw alreadyTaken(`${username} is taken already. Choose another name.`);
    return null;
  }

  /**
   * A new secret in place of the old one.
   * @throws Problem 404 for no such device in the microgrid, 409 when it has moved out
   */
  async rotateSecret(
    sql: Sql,
    microgridId: string,
    username: string,
    by: string,
  ): Promise<IssuedSecret> {
    const device = await this.enrolled(sql, microgridId, username);
    if (device.activeUntil !== null) {
      const detail = `${username} moves out at ${device.activeUntil} and gets no new secret.`;
      throw new Problem(409, 'moved_out', detail);
    }
    const [issued] = await store.issueSecrets(sql, microgridId, [{ username, kind: device.kind }]);
    await this.note(sql, microgridId, username, device.householdId, 'secret-rotated', by);
    return issued!;
  }

  /** Ends the device's access at once. @throws Problem 404 for no such device in the microgrid */
  async revoke(sql: Sql, microgridId: string, username: string, by: string): Promise<void> {
    const device = await this.enrolled(sql, microgridId, username);
    await sql.query(store.REVOKE_CREDENTIAL, [username, await this.clock.now(sql)]);
    await this.note(sql, microgridId, username, device.householdId, 'secret-revoked', by);
  }

  private async enrolled(
    sql: Sql,
    microgridId: string,
    username: string,
  ): Promise<{
    kind: IssuedSecret['kind'];
    householdId: string | null;
    activeUntil: Instant | null;
  }> {
    const [device] = await sql.query<{
      kind: IssuedSecret['kind'];
      householdId: string | null;
      activeUntil: Instant | null;
    }>(store.DEVICE, [username, microgridId]);
    if (!device) {
      throw new Problem(404, 'unknown_device', `There is no device ${username} in ${microgridId}.`);
    }
    return device;
  }

  private async note(
    sql: Sql,
    microgridId: string,
    username: string,
    householdId: string | null,
    action: 'secret-rotated' | 'secret-revoked',
    by: string,
  ): Promise<void> {
    const [count] = await sql.query<{ changes: number }>(store.COUNT_CHANGE, [username]);
    await this.journal.append(sql, microgridId, [
      {
        kind: 'operator-action',
        at: await this.clock.now(sql),
        cause: causeOfDevice(username, count!.changes),
        keyHolder: householdId ?? '',
        households: householdId === null ? [] : [householdId],
        facts: { action, by, device: username },
        transfers: [],
      },
    ]);
  }

  private async isSecret(password: Buffer, secretHash: string): Promise<boolean> {
    const digest = createHash('sha256').update(secretHash).update(password).digest('base64');
    if (this.verified.has(digest)) return true;
    if (!(await verifySecret(password, secretHash))) return false;
    this.verified.add(digest);
    return true;
  }

  /** The principal with its present meters; null once its access ended or its secret changed. */
  private async asEnrolledNow(
    principal: Principal,
    trustedMillis = RECHECK_MILLIS,
  ): Promise<Principal | null> {
    const known = this.trusted(principal, trustedMillis);
    if (known !== undefined) return known;
    const device = (await this.gather(principal.username)).get(principal.username);
    const same = device !== undefined && device.secretHash === this.secretHashes.get(principal);
    const now = same ? principalOf(device) : null;
    this.remember(principal, this.secretHashes.get(principal) ?? '', now);
    return now;
  }

  /** What was found out no longer ago than this; undefined when it has to be asked again. */
  private trusted(principal: Principal, trustedMillis: number): Principal | null | undefined {
    const known = this.current.get(principal);
    return known && Date.now() < known.checkedAt + trustedMillis ? known.principal : undefined;
  }

  private remember(principal: Principal, secretHash: string, now: Principal | null): void {
    this.secretHashes.set(principal, secretHash);
    this.current.set(principal, { checkedAt: Date.now(), principal: now });
  }

  private gather(username: string): Promise<Map<string, Device>> {
    this.gathered.add(username);
    this.gathering ??= new Promise<void>((resolve) => setTimeout(resolve, GATHER_MILLIS)).then(
      () => {
        const usernames = [...this.gathered];
        this.gathered = new Set();
        this.gathering = undefined;
        return this.devices(usernames);
      },
    );
    return this.gathering;
  }

  private async devices(usernames: readonly string[]): Promise<Map<string, Device>> {
    const now = await this.clock.now();
    const rows = await this.database.query<Credential>(store.CREDENTIALS, [usernames, now]);
    const gateways = rows.flatMap((row) => (row.kind === 'gateway' ? [row.username] : []));
    const meters = await metersOf(this.database, gateways, now);
    const topics = await topicsOf(this.database, usernames, now);
    return new Map(
      rows.map((row) => [
        row.username,
        {
          ...row,
          meters: meters.get(row.username) ?? [],
          topics: topics.get(row.username) ?? [],
        },
      ]),
    );
  }
}

interface Device extends Credential {
  meters: string[];
  topics: string[];
}

function principalOf(device: Device): Principal {
  const { username, kind, microgridId, meters, topics } = device;
  return { username, kind, microgridId, meters: new Set(meters), topics };
}

/** Topic filters by the meter or gateway that may use them. @param usernames null for all */
async function topicsOf(
  sql: Sql,
  usernames: readonly string[] | null,
  now: Instant,
): Promise<Map<string, string[]>> {
  const rows = await sql.query<TopicRow>(store.TOPICS, [usernames, now]);
  const filters = rows.flatMap((row) =>
    deviceTopics(row).map((filter) => ({ username: row.username, filter })),
  );
  return new Map(
    [...groupBy(filters, ({ username }) => username)].map(([username, own]) => [
      username,
      [...new Set(own.map(({ filter }) => filter))],
    ]),
  );
}

type TopicRow = Pick<MeterProfile, 'microgridId' | 'meterId' | 'topic'> & { username: string };

async function metersOf(
  sql: Sql,
  gateways: readonly string[],
  now: Instant,
): Promise<Map<string, string[]>> {
  const meters = new Map<string, string[]>();
  if (gateways.length === 0) return meters;
  const rows = await sql.query<{ username: string; meterId: string }>(store.METERS_OF_GATEWAYS, [
    gateways,
    now,
  ]);
  for (const { username, meterId } of rows) {
    const known = meters.get(username);
    if (known) known.push(meterId);
    else meters.set(username, [meterId]);
  }
  return meters;
}
