import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { DatabaseService } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { LogService } from '../ledger/log.service.js';
import { MeteringService } from '../metering/metering.service.js';
import { FairnessService } from '../settlement/fairness.service.js';
import { orderFairness, regulatorFairness, slotFairness } from '../settlement/slot-fairness.js';
import type { Instant } from '../units/slot.js';
import type { FeedEvent } from './feed-event.js';
import {
  householdOf,
  householdRoom,
  isVisible,
  microgridRoom,
  operatorRoom,
  regulatorRoom,
  type Room,
} from './feed-room.js';
import { FeedService, type Following } from './feed.service.js';
import type { WithoutEach } from './record-views.js';

const POLL_MILLIS = 1_000;
/** Microgrids that are looked at at the same time. */
const READERS = 4;
/** Of one household in one slot; the others are read over HTTP. */
const MOST_ORDERS = 20;

/** An event for a room, and whether it was there at the last look. */
interface Passing {
  isNew: boolean;
  room: Room;
  /** The slot it belongs to, on which access depends; absent: its instant. */
  of?: Instant;
  body: WithoutEach<FeedEvent, 'room' | 'microgrid' | 'sequence' | 'previous'>;
}

/** What a microgrid was last seen at. */
interface Seen {
  readAt: Map<string, string>;
  /** Of meters whose first reading was told, when they had been claimed. */
  claimedAt: Map<string, string>;
  checkpointSize: number;
  /** The records that the slot explained last rests on. */
  fairness: string;
}

/**
 * Tells what passes by and is in no record: the live power of a household's meters, the first reading
 * of one it claimed, the latest checkpoint, and how fair the latest slot was. Looked up once a second for
 * microgrids that someone listens to; a listener gets the present state when it is up to date, then what
 * changes. A busy socket misses some of it.
 */
@Injectable()
export class LiveService implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger(LiveService.name);
  private readonly seen = new Map<string, Seen>();
  private readonly greeted = new WeakSet<Following>();
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;
  private failing = false;

  constructor(
    @Inject(DatabaseService) private readonly database: DatabaseService,
    @Inject(FeedService) private readonly feed: FeedService,
    @Inject(MeteringService) private readonly metering: MeteringService,
    @Inject(LedgerService) private readonly ledger: LedgerService,
    @Inject(LogService) private readonly logs: LogService,
    @Inject(FairnessService) private readonly fair: FairnessService,
  ) {}

  onApplicationBootstrap(): void {
    this.schedule();
  }

  onModuleDestroy(): void {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
  }

  private schedule(): void {
    if (!this.stopped) this.timer = setTimeout(() => void this.turn(), POLL_MILLIS);
  }

  private async turn(): Promise<void> {
    try {
      await this.look();
      this.failing = false;
    } catch (error) {
      if (!this.failing && !this.stopped) this.log.error(error);
      this.failing = true;
    }
    this.schedule();
  }

  private async look(): Promise<void> {
    const live = [...this.feed.liveFollowings()];
    const listenedTo = new Set(live.map(([microgrid]) => microgrid));
    for (const microgrid of this.seen.keys()) {
      if (!listenedTo.has(microgrid)) this.seen.delete(microgrid);
    }
    if (live.length === 0) return;
    const heads = await this.ledger.heads(this.database);
    for (let index = 0; index < live.length; index += READERS) {
      await Promise.all(
        live
          .slice(index, index + READERS)
          .map(([microgrid, followings]) =>
            this.tell(microgrid, followings, heads.get(microgrid) ?? 0),
          ),
      );
    }
  }

  private async tell(
    microgrid: string,
    followings: readonly Following[],
    head: number,
  ): Promise<void> {
    const seen = this.seen.get(microgrid) ?? {
      readAt: new Map(),
      claimedAt: new Map(),
      checkpointSize: 0,
      fairness: '',
    };
    this.seen.set(microgrid, seen);
    const readings = await this.readings(microgrid, seen);
    const firstReadings = await this.firstReadings(microgrid, seen, followings);
    // Every record has one entry in the log: a checkpoint of the head's size is the latest there is.
    const isDue =
      seen.checkpointSize < head || followings.some((following) => !this.greeted.has(following));
    const checkpoints = isDue ? await this.checkpoints(microgrid, seen) : [];
    const fairness = isDue ? await this.fairness(microgrid, seen, followings) : [];
    for (const following of followings) {
      const isGreeted = this.greeted.has(following);
      this.greeted.add(following);
      pass(
        following,
        [...readings, ...firstReadings, ...checkpoints, ...fairness].filter(
          ({ isNew }) => isNew || !isGreeted,
        ),
      );
    }
  }

  /** The latest slot explained, to the households that listen and to the rooms of all. */
  private async fairness(
    microgrid: string,
    seen: Seen,
    followings: readonly Following[],
  ): Promise<Passing[]> {
    const latest = await this.fair.latest(microgrid);
    if (latest === null) return [];
    const { slot, restsOn } = latest;
    const isNew = restsOn !== seen.fairness;
    seen.fairness = restsOn;
    const isAwaited = isNew || followings.some((following) => !this.greeted.has(following));
    if (!isAwaited) return [];
    const passing = { isNew, of: slot.terms.slot };
    const type = 'fairness' as const;
    const { at } = slot;
    const figures = { type, at, ...slotFairness(slot) };
    const { slot: start, slotEnd, basis, revision } = figures;
    const told = { type, at, slot: start, slotEnd, basis, revision };
    return [
      ...listening(followings).map((household): Passing => {
        const orders = orderFairness(slot, household).slice(0, MOST_ORDERS);
        const body = { ...told, view: 'household' as const, household, orders };
        return { ...passing, room: householdRoom(microgrid, household), body };
      }),
      { ...passing, room: microgridRoom(microgrid), body: { ...figures, view: 'microgrid' } },
      { ...passing, room: operatorRoom(microgrid), body: { ...figures, view: 'operator' } },
      {
        ...passing,
        room: regulatorRoom(microgrid),
        body: { type, at, ...regulatorFairness(slot), view: 'regulator' },
      },
    ];
  }

  private async readings(microgrid: string, seen: Seen): Promise<Passing[]> {
    const powers = await this.metering.livePower(this.database, microgrid);
    return powers.map(({ householdId: household, meterId: meter, role, powerW, readAt }) => {
      const isNew = seen.readAt.get(meter) !== readAt;
      seen.readAt.set(meter, readAt);
      const at = readAt;
      return {
        isNew,
        room: householdRoom(microgrid, household),
        body: { type: 'reading', view: 'household', household, meter, role, powerW, at },
      };
    });
  }

  /** Of meters that the households which listen have claimed lately. */
  private async firstReadings(
    microgrid: string,
    seen: Seen,
    followings: readonly Following[],
  ): Promise<Passing[]> {
    const households = listening(followings);
    if (households.length === 0) return [];
    const found = await this.metering.firstReadings(this.database, microgrid, households);
    return found.map(({ householdId: household, meterId: meter, claimedAt, readAt: at }) => {
      const isNew = seen.claimedAt.get(meter) !== claimedAt;
      seen.claimedAt.set(meter, claimedAt);
      return {
        isNew,
        room: householdRoom(microgrid, household),
        body: { type: 'first-reading', view: 'household', household, meter, claimedAt, at },
      };
    });
  }

  private async checkpoints(microgrid: string, seen: Seen): Promise<Passing[]> {
    const latest = await this.logs.latestPublished(this.database, microgrid);
    if (!latest) return [];
    const { size, note } = latest;
    const isNew = size !== seen.checkpointSize;
    seen.checkpointSize = size;
    // Its market time is that of the last record it covers.
    const since = size - 1;
    const [last] = await this.ledger.records(this.database, microgrid, { since, limit: 1 });
    if (!last) return [];
    const body = { type: 'checkpoint', size, note, at: last.at } as const;
    return [
      { isNew, room: microgridRoom(microgrid), body: { ...body, view: 'microgrid' } },
      { isNew, room: operatorRoom(microgrid), body: { ...body, view: 'operator' } },
      { isNew, room: regulatorRoom(microgrid), body: { ...body, view: 'regulator' } },
    ];
  }
}

/** The households in whose rooms somebody is. */
function listening(followings: readonly Following[]): string[] {
  const rooms = new Set(followings.flatMap((following) => [...following.rooms.keys()]));
  return [...rooms].flatMap((room) => householdOf(room) ?? []);
}

/** Stamped with where the listener stands in the journal, so that it never looks like a gap. */
function pass(following: Following, passing: readonly Passing[]): void {
  const { microgrid, cursor: sequence } = following;
  const events = passing.flatMap(({ room, of, body }) => {
    const period = following.rooms.get(room);
    if (!period || !isVisible(period, of ?? body.at)) return [];
    const previous = following.seen.get(room) ?? 0;
    return [{ ...body, room, microgrid, sequence, previous }];
  });
  if (following.live && events.length > 0) following.listener.pass(events);
}
