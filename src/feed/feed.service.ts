import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { DatabaseService } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import type { StoredRecord } from '../ledger/record.js';
import type { Grant } from '../parties/access.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { PartiesService } from '../parties/parties.service.js';
import type { FeedEvent } from './feed-event.js';
import {
  householdOf,
  microgridRoom,
  operatorRoom,
  REGULATOR_KINDS,
  regulatorRoom,
  roomsOf,
  TAPE_KINDS,
  type Room,
} from './feed-room.js';
import type { Aliases } from './record-views.js';
import * as store from './feed.store.js';
import { frames, pageOf, take, type Page, type Subscription } from './subscription.js';

/** Whoever receives: a socket in the service, anything in a test. None of it may block. */
export interface Listener {
  readonly sessionId: string;
  /** The grants that its rooms follow from. */
  grants: readonly Grant[];
  /** All events of a record are in one call. */
  send(events: FeedEvent[]): void;
  /** Events that are in no record; they may be lost. */
  pass(events: FeedEvent[]): void;
  resync(microgrid: string, sequence: number): void;
  /** Whether what was sent before has left the process. */
  ready(): boolean;
  /** The session was revoked. */
  expire(): void;
}

/** A subscription and whose it is. */
export interface Following extends Subscription {
  readonly listener: Listener;
}

export type Opening =
  | { outcome: 'no_rooms' }
  | { outcome: 'resync' | 'resume'; sequence: number; rooms: Room[]; start(): Following };

/** A microgrid that someone listens to. */
interface Followed {
  cursor: number;
  readonly followings: Set<Following>;
  aliases: Aliases | null;
}

const POLL_MILLIS = 250;
const PAGE_RECORDS = 1_000;
const FRAME_EVENTS = 200;
/** Listeners that are served before others may run. */
const LISTENERS_AT_ONCE = 50;
/** Journals that are read at the same time. */
const READERS = 4;
/** Beyond this a reload over HTTP is cheaper than the events. */
export const MAX_RESUME_RECORDS = 5_000;

/**
 * Follows the journals that someone listens to and hands each listener the events of its rooms, in
 * sequence, without gap or repetition. Only committed records are read; a sequence is given under
 * the lock of the journal's head, so what is committed is complete up to it. A listener that does
 * not keep up is left behind, where it costs nothing, and reads on from its own place.
 */
@Injectable()
export class FeedService implements OnModuleDestroy {
  private readonly log = new Logger(FeedService.name);
  private readonly followed = new Map<string, Followed>();
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;
  private turning = false;
  private failing = false;

  constructor(
    @Inject(DatabaseService) private readonly database: DatabaseService,
    @Inject(LedgerService) private readonly ledger: LedgerService,
    @Inject(PartiesService) private readonly parties: PartiesService,
    @Inject(MarketClockService) private readonly clock: MarketClockService,
  ) {}

  /**
   * Prepares a subscription to the events after `since`, or after now. Nothing is sent before
   * `start`, so that the answer to the listener goes first.
   */
  async open(listener: Listener, microgrid: string, since?: number): Promise<Opening> {
    const rooms = roomsOf(listener.grants, microgrid, await this.clock.now());
    if (rooms.size === 0) return { outcome: 'no_rooms' };
    const head = await this.ledger.head(this.database, microgrid);
    const resumable = since !== undefined && since <= head && head - since <= MAX_RESUME_RECORDS;
    const cursor = resumable ? since : head;
    const seen = await this.lastSeen(microgrid, [...rooms.keys()], cursor);
    const following: Following = { listener, microgrid, rooms, cursor, seen, live: false };
    const outcome = since === undefined || resumable ? 'resume' : 'resync';
    return {
      outcome,
      sequence: cursor,
      rooms: [...rooms.keys()],
      start: () => {
        if (outcome === 'resync') listener.resync(microgrid, cursor);
        this.follow(following);
        return following;
      },
    };
  }

  /** Hands on events from where the subscription stands; also after `leave`. */
  follow(following: Following): void {
    let followed = this.followed.get(following.microgrid);
    if (!followed) {
      followed = { cursor: following.cursor, followings: new Set(), aliases: null };
      this.followed.set(following.microgrid, followed);
    }
    following.live = following.cursor >= followed.cursor;
    followed.followings.add(following);
    this.schedule(0);
  }

  /** Sends nothing more to it. */
  leave(following: Following): void {
    const followed = this.followed.get(following.microgrid);
    followed?.followings.delete(following);
    if (followed?.followings.size === 0) this.followed.delete(following.microgrid);
  }

  /** Those that are up to date, by microgrid: who may be told what is passing by. */
  liveFollowings(): ReadonlyMap<string, readonly Following[]> {
    const live = new Map<string, Following[]>();
    for (const [microgrid, { followings }] of this.followed) {
      const current = [...followings].filter((following) => following.live);
      if (current.length > 0) live.set(microgrid, current);
    }
    return live;
  }

  /**
   * Reads sessions and grants again, all in one query: revoked listeners expire, and rooms that are
   * no longer granted are left. New rooms open with a new subscription.
   */
  async recheck(listeners: ReadonlySet<Listener>): Promise<void> {
    if (listeners.size === 0) return;
    const ids = [...new Set([...listeners].map((listener) => listener.sessionId))];
    const rows = await this.database.query<{ sessionId: string; grants: Grant[] }>(
      store.GRANTS_OF_SESSIONS,
      [ids],
    );
    const now = await this.clock.now();
    const grants = new Map(rows.map((row) => [row.sessionId, row.grants]));
    for (const listener of listeners) {
      const granted = grants.get(listener.sessionId);
      if (granted) listener.grants = granted;
      else listener.expire();
    }
    for (const { followings } of this.followed.values()) {
      for (const following of followings) {
        if (!listeners.has(following.listener)) continue;
        const rooms = roomsOf(following.listener.grants, following.microgrid, now);
        following.rooms = new Map([...rooms].filter(([room]) => following.rooms.has(room)));
      }
    }
  }

  onModuleDestroy(): void {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
    this.followed.clear();
  }

  private schedule(millis: number): void {
    if (this.stopped || this.followed.size === 0) return;
    if (this.timer) clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.turn(), millis);
  }

  private async turn(): Promise<void> {
    this.timer = null;
    if (this.turning) return;
    this.turning = true;
    let more = false;
    try {
      more = await this.advance();
      if (this.failing) this.log.log('The journals can be read again.');
      this.failing = false;
    } catch (error) {
      // The next turn reads again from the same places; one line tells of a database that is away.
      if (!this.failing && !this.stopped) this.log.error(error);
      this.failing = true;
    } finally {
      this.turning = false;
      this.schedule(more ? 0 : POLL_MILLIS);
    }
  }

  /** Reads at most one page for everyone. @returns whether some journal has more to read at once */
  private async advance(): Promise<boolean> {
    const heads = await this.ledger.heads(this.database);
    const reads: (() => Promise<boolean>)[] = [];
    for (const [microgrid, followed] of this.followed) {
      const head = heads.get(microgrid) ?? 0;
      if (head > followed.cursor) reads.push(() => this.readLive(microgrid, followed, head));
      for (const [from, group] of behind(followed)) {
        reads.push(() =>
          head - from > MAX_RESUME_RECORDS
            ? this.restart(microgrid, followed, group, head)
            : this.readBehind(microgrid, followed, group, from, head),
        );
      }
    }
    let more = false;
    for (let index = 0; index < reads.length; index += READERS) {
      const results = await Promise.all(reads.slice(index, index + READERS).map((read) => read()));
      more ||= results.includes(true);
    }
    return more;
  }

  /** For all that are up to date. */
  private async readLive(microgrid: string, followed: Followed, head: number): Promise<boolean> {
    const page = await this.read(microgrid, followed, followed.cursor, head);
    let delivered = 0;
    for (const following of followed.followings) {
      if (!following.live) continue;
      if (following.listener.ready()) deliver(following, page);
      else following.live = false;
      delivered += 1;
      // A big audience shares the process with everything else it does.
      if (delivered % LISTENERS_AT_ONCE === 0)
        await new Promise((resolve) => setImmediate(resolve));
    }
    followed.cursor = page.through;
    // Whoever slipped in behind the loop catches up from its own place.
    for (const following of followed.followings) {
      if (following.cursor < followed.cursor) following.live = false;
    }
    return page.through < head;
  }

  /** For those that stand at `from`, behind the others, until they have caught up. */
  private async readBehind(
    microgrid: string,
    followed: Followed,
    group: readonly Following[],
    from: number,
    head: number,
  ): Promise<boolean> {
    const page = await this.read(microgrid, followed, from, head);
    for (const following of group) {
      if (!followed.followings.has(following) || following.cursor !== from) continue;
      deliver(following, page);
      following.live = following.cursor >= followed.cursor;
    }
    return group.some((following) => !following.live && following.listener.ready());
  }

  /** Those that were left too far behind go on from the head. */
  private async restart(
    microgrid: string,
    followed: Followed,
    group: readonly Following[],
    head: number,
  ): Promise<boolean> {
    for (const following of group) {
      following.seen = await this.lastSeen(microgrid, [...following.rooms.keys()], head);
      following.cursor = head;
      following.listener.resync(microgrid, head);
      following.live = head >= followed.cursor;
    }
    return false;
  }

  private async read(
    microgrid: string,
    followed: Followed,
    from: number,
    head: number,
  ): Promise<Page> {
    const records = await this.ledger.records(this.database, microgrid, {
      since: from,
      limit: PAGE_RECORDS,
    });
    if (records.some(changesAccess)) {
      // Before anything that came after a move-out is told to whoever moved out.
      followed.aliases = null;
      await this.recheck(new Set([...followed.followings].map(({ listener }) => listener)));
    }
    followed.aliases ??= await this.aliases(microgrid);
    const last = records.at(-1)?.sequence ?? from;
    const through = records.length === PAGE_RECORDS ? last : Math.max(head, last);
    return pageOf(records, from, through, followed.aliases);
  }

  private async aliases(microgrid: string): Promise<Map<string, string>> {
    const aliases = new Map<string, string>();
    for (let after = ''; ;) {
      const households = await this.parties.householdsAfter(
        this.database,
        microgrid,
        after,
        PAGE_RECORDS,
      );
      for (const { householdId, alias } of households) aliases.set(householdId, alias);
      if (households.length < PAGE_RECORDS) return aliases;
      after = households.at(-1)!.householdId;
    }
  }

  /** The last sequence up to `through` that each of the rooms heard of. */
  private async lastSeen(
    microgrid: string,
    rooms: readonly Room[],
    through: number,
  ): Promise<Map<Room, number>> {
    const byHousehold = new Map(
      rooms.flatMap((room): [string, Room][] => {
        const household = householdOf(room);
        return household === null ? [] : [[household, room]];
      }),
    );
    const seen = new Map<Room, number>(rooms.map((room) => [room, 0]));
    const rows = await this.database.query<{ household: string; sequence: number | null }>(
      store.LAST_SEEN_BY_HOUSEHOLDS,
      [microgrid, [...byHousehold.keys()], through],
    );
    for (const row of rows) seen.set(byHousehold.get(row.household)!, row.sequence ?? 0);
    for (const [room, kinds] of [
      [microgridRoom(microgrid), TAPE_KINDS],
      [regulatorRoom(microgrid), REGULATOR_KINDS],
    ] as const) {
      if (!seen.has(room)) continue;
      const [row] = await this.database.query<{ sequence: number }>(store.LAST_SEEN_BY_KINDS, [
        microgrid,
        kinds,
        through,
      ]);
      seen.set(room, row?.sequence ?? 0);
    }
    // Operators hear of every record.
    if (seen.has(operatorRoom(microgrid))) seen.set(operatorRoom(microgrid), through);
    return seen;
  }
}

/** The followings that have to catch up and can take something, by where they stand. */
function behind(followed: Followed): Map<number, Following[]> {
  const groups = new Map<number, Following[]>();
  for (const following of followed.followings) {
    if (following.live) continue;
    if (following.cursor >= followed.cursor) {
      following.live = true;
    } else if (following.listener.ready()) {
      const group = groups.get(following.cursor);
      if (group) group.push(following);
      else groups.set(following.cursor, [following]);
    }
  }
  return groups;
}

function deliver(following: Following, page: Page): void {
  for (const frame of frames(take(following, page), FRAME_EVENTS)) following.listener.send(frame);
}

/** A record after which other people may be in a room, or have another alias. */
function changesAccess(record: StoredRecord): boolean {
  return record.kind === 'enrolment' || record.kind === 'operator-action';
}
