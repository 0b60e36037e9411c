import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { BrokerService } from '../broker/broker.service.js';
import { settlementsTopic } from '../broker/topics.js';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import * as store from './feed.store.js';
import { settlementOf } from './record-views.js';

const CONSUMER = 'mqtt-settlements';
const POLL_MILLIS = 500;
const JOURNALS_PER_TURN = 50;
const RECORDS_PER_JOURNAL = 1_000;
/** A broker that takes longer is left for a later turn, which sends the same again. */
const PUBLISH_MILLIS = 15_000;

interface Unfollowed {
  microgridId: string;
  since: number;
  head: number;
}

/**
 * Publishes every committed settlement, and its corrections, to the household's device over MQTT:
 * at least once, in the order of the journal, by one instance at a time. How far it has come is kept
 * in the database; nothing waits for it.
 */
@Injectable()
export class SettlementPublisherService implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger(SettlementPublisherService.name);
  private timer: NodeJS.Timeout | null = null;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;
  private failing = false;
  /** The microgrid that was served last; the next turn goes on after it. */
  private after = '';

  constructor(
    @Inject(DatabaseService) private readonly database: DatabaseService,
    @Inject(LedgerService) private readonly ledger: LedgerService,
    @Inject(BrokerService) private readonly broker: BrokerService,
  ) {}

  onApplicationBootstrap(): void {
    this.schedule(0);
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
    await this.running;
  }

  /**
   * Publishes one page of some journals. What was published before a failure is not sent again.
   * @returns whether there may be more to publish at once
   */
  async publishNext(): Promise<boolean> {
    if (!this.broker.connected()) return false;
    let failure: unknown;
    const more = await this.database.transaction(async (sql) => {
      const [lock] = await sql.query<{ locked: boolean }>(store.TRY_LOCK_CONSUMER, [CONSUMER]);
      if (!lock?.locked) return false;
      const from = this.after;
      const journals = await sql.query<Unfollowed>(store.UNFOLLOWED, [
        CONSUMER,
        from,
        JOURNALS_PER_TURN,
      ]);
      const reached = new Map<string, number>();
      for (const journal of journals) {
        this.after = journal.microgridId;
        try {
          reached.set(journal.microgridId, await this.publishPage(sql, journal));
        } catch (error) {
          failure = error;
          break;
        }
      }
      if (journals.length < JOURNALS_PER_TURN && failure === undefined) this.after = '';
      await sql.query(store.MOVE_CURSORS, [CONSUMER, [...reached.keys()], [...reached.values()]]);
      return journals.length > 0 || from !== '';
    });
    if (failure !== undefined) throw failure;
    return more;
  }

  /** @returns the sequence up to which everything is with the broker */
  private async publishPage(sql: Sql, { microgridId, since, head }: Unfollowed): Promise<number> {
    const records = await this.ledger.records(sql, microgridId, {
      since,
      limit: RECORDS_PER_JOURNAL,
    });
    const sent = records.flatMap((record) => {
      const message = settlementOf(record);
      if (!message) return [];
      const topic = settlementsTopic(microgridId, message.household);
      return [this.broker.publish(topic, JSON.stringify(message))];
    });
    await within(PUBLISH_MILLIS, Promise.all(sent));
    const last = records.at(-1)?.sequence ?? since;
    return records.length === RECORDS_PER_JOURNAL ? last : Math.max(head, last);
  }

  private schedule(millis: number): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.turn();
    }, millis);
  }

  private async turn(): Promise<void> {
    let more = false;
    try {
      more = await this.publishNext();
      this.failing = false;
    } catch (error) {
      if (!this.failing && !this.stopped) this.log.error(error);
      this.failing = true;
    }
    this.schedule(more ? 0 : POLL_MILLIS);
  }
}

/** @throws Error when the work takes longer */
async function within<T>(millis: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer from the broker in ${millis} ms`)),
      millis,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
