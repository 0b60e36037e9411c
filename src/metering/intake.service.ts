import { createHash } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { BeforeApplicationShutdown } from '@nestjs/common';
import type { IncomingMessage } from '../broker/broker-link.js';
import { SETTINGS } from '../config.js';
import type { Settings } from '../config.js';
import { DatabaseService } from '../database/database.service.js';
import type { Sql } from '../database/database.service.js';
import { BoundedSet } from '../parties/bounded-set.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { parseInstant } from '../units/slot.js';
import { KeysChanged } from './counter.store.js';
import { copyBatch, storeBatch } from './intake.store.js';
import type { StoredBatch } from './intake.store.js';
import { blamesKey, blamesMeter, judge, openMessage } from './intake-verdict.js';
import type { EnrolledMeter, JudgedMessage, OpenedMessage, Verdict } from './intake-verdict.js';
import { MeterDirectory } from './meter-directory.service.js';
import { NewestReadings } from './newest-readings.js';
import type { Rejection } from './reading.js';
import { signatureFault } from './signed-reading.js';

/** A message waiting for its batch, in its bytes: opened, it would take many times the memory. */
interface Waiting extends Answer {
  bytes: number;
  open(): OpenedMessage;
}

/** A message of a batch that is being committed. */
interface Opened extends Answer {
  message: OpenedMessage;
}

interface Answer {
  done(): void;
  failed(error: unknown): void;
}

/** Counts since the start, for metrics: accepted, repeated, and each reason of rejection. */
export type IntakeCounters = Readonly<Record<string, number>>;

/**
 * Takes messages in: those that arrive together are committed together, and each is answered after
 * its commit. While a batch commits the next one gathers. What no database would take is rejected
 * and answered, so that it does not come again for ever.
 */
@Injectable()
export class IntakeService implements BeforeApplicationShutdown {
  private readonly log = new Logger('intake');
  private readonly directory = new MeterDirectory();
  private readonly newest = new NewestReadings();
  /** How many batches to come are stored by asking for every reading. */
  private cautiousBatches = 0;
  private readonly counts: Record<string, number> = { accepted: 0, repeated: 0 };
  private waiting: Waiting[] = [];
  private waitingBytes = 0;
  private committing = 0;
  private timer: NodeJS.Timeout | undefined;
  /** The last batch with signed messages. */
  private signedTurn: Promise<void> = Promise.resolve();
  /** Signed messages that could not be kept. */
  private readonly overdue = new BoundedSet(MAX_OVERDUE);

  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    @Inject(SETTINGS) private readonly settings: Pick<Settings, 'maxClockAheadSeconds'>,
  ) {}

  /**
   * Resolves when the message is durably kept, as readings or as a rejection; rejects when the
   * database failed and the message must come again. What waits here is bounded by what the brokers
   * bring before they are answered.
   */
  intake(message: IncomingMessage): Promise<void> {
    return this.enqueue(message.payload, () => open(message));
  }

  /** The same for a message that a device's session has opened. */
  keep(message: OpenedMessage): Promise<void> {
    return this.enqueue(message.payload, () => message);
  }

  private enqueue({ length: bytes }: Buffer, opening: () => OpenedMessage): Promise<void> {
    return new Promise((done, failed) => {
      this.waiting.push({ bytes, open: opening, done, failed });
      this.waitingBytes += bytes;
      this.gather();
    });
  }

  counters(): IntakeCounters {
    return { ...this.counts };
  }

  /** Counts rejections made elsewhere in the room. */
  count(reason: string, times: number): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + times;
  }

  /** Commits what is waiting; the broker has stopped bringing more. */
  async beforeApplicationShutdown(): Promise<void> {
    while (this.waiting.length > 0 || this.committing > 0) {
      this.flush();
      await new Promise((resolve) => setTimeout(resolve, LINGER_MILLIS));
    }
  }

  private gather(): void {
    if (this.committing >= MAX_COMMITTING) return;
    if (this.waiting.length >= MAX_BATCH || this.waitingBytes >= MAX_BATCH_BYTES) {
      this.flush();
    } else {
      this.timer ??= setTimeout(() => this.flush(), LINGER_MILLIS);
    }
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.waiting.length > 0 && this.committing < MAX_COMMITTING) {
      const batch = this.takeBatch();
      this.committing += 1;
      void this.commit(batch).finally(() => {
        this.committing -= 1;
        // What gathered meanwhile has waited long enough.
        this.flush();
      });
    }
  }

  private takeBatch(): Opened[] {
    let bytes = 0;
    let length = 0;
    while (length < this.waiting.length && length < MAX_BATCH && bytes < MAX_BATCH_BYTES) {
      bytes += this.waiting[length]!.bytes;
      length += 1;
    }
    const batch = this.waiting.slice(0, length);
    this.waiting = this.waiting.slice(length);
    this.waitingBytes -= bytes;
    return batch.map(({ open, done, failed }) => ({ message: open(), done, failed }));
  }

  /**
   * Batches with signed messages follow one another, or one of a meter's counters would overtake the
   * one before it.
   */
  private commit(batch: readonly Opened[]): Promise<void> {
    if (!batch.some(({ message }) => message.signed)) return this.commitNow(batch);
    this.signedTurn = this.signedTurn.then(() => this.commitNow(batch));
    return this.signedTurn;
  }

  /** Never rejects: every message of the batch is answered. */
  private async commitNow(batch: readonly Opened[]): Promise<void> {
    try {
      this.add(await this.judgeAndStore(batch.map(({ message }) => message)));
      for (const { done } of batch) done();
    } catch (error) {
      if (isRefusal(error)) await this.commitApart(batch, error);
      else {
        for (const { message } of batch) if (message.signed) this.overdue.add(nameOf(message));
        for (const { failed } of batch) failed(error);
      }
    }
  }

  private async judgeAndStore(messages: readonly OpenedMessage[]): Promise<StoredBatch> {
    try {
      return await this.store(await this.judgeAll(messages));
    } catch (error) {
      if (!(error instanceof KeysChanged)) throw error;
      return this.store(await this.judgeAll(messages, 0));
    }
  }

  private async store(judged: readonly JudgedMessage[]): Promise<StoredBatch> {
    const { newest } = this;
    for (let attempt = 1; ; attempt += 1) {
      const mayCopy = attempt === 1 && this.cautiousBatches === 0;
      if (this.cautiousBatches > 0) this.cautiousBatches -= 1;
      try {
        const stored =
          (mayCopy ? await copyBatch(this.database, judged, newest) : null) ??
          (await this.database.transaction((sql) => storeBatch(sql, judged, { newest, mayCopy })));
        newest.add(stored.kept);
        return stored;
      } catch (error) {
        const wasThere = mayCopy && stateOf(error) === UNIQUE_VIOLATION;
        if (wasThere) this.cautiousBatches = CAUTIOUS_BATCHES;
        else if (attempt === MAX_ATTEMPTS || !isCollision(error)) throw error;
      }
    }
  }

  /** Halves a batch until the message that the database refuses stands alone, and rejects that. */
  private async commitApart(batch: readonly Opened[], error: unknown): Promise<void> {
    if (batch.length > 1) {
      const half = batch.length >> 1;
      await this.commitNow(batch.slice(0, half));
      await this.commitNow(batch.slice(half));
      return;
    }
    const [{ message, done, failed }] = batch as readonly [Opened];
    this.log.error(`A message on ${message.topic} was refused by the database: ${String(error)}`);
    const detail = 'the database refused its values';
    const rejections = [{ reason: 'refused_by_database' as const, detail }];
    try {
      const verdict = { readings: [], rejections, keyNumber: 0, counter: null, overdue: false };
      this.add(await this.store([{ ...message, ...verdict }]));
      done();
    } catch (cause) {
      if (!isRefusal(cause)) return failed(cause);
      this.count('refused_by_database', 1);
      done();
    }
  }

  /** @param maxAgeMillis how old what is remembered of meters may be */
  private async judgeAll(
    messages: readonly OpenedMessage[],
    maxAgeMillis?: number,
  ): Promise<JudgedMessage[]> {
    const withReadings = messages.filter(({ readings }) => readings.length > 0);
    const nowMillis = withReadings.length > 0 ? parseInstant(await this.clock.now()) : 0;
    const { maxClockAheadSeconds } = this.settings;
    const verdictOf = (
      message: OpenedMessage,
      meters: ReadonlyMap<string, EnrolledMeter | null>,
    ): Verdict | Promise<Verdict> => {
      const meter = meters.get(message.meterId) ?? null;
      const key = meter?.key ?? null;
      const judged = (fault: Rejection | null): Verdict =>
        judge(message, meter, fault, nowMillis, maxClockAheadSeconds);
      // Of most messages nothing is signed, and a promise for each would cost more than its verdict.
      if (message.signed === null && key === null) return judged(null);
      return signatureFault(message.signed, key).then(judged);
    };
    const sql: Sql = this.database;
    const meters = await this.directory.find(sql, idsOf(withReadings), maxAgeMillis);
    const found = messages.map((message) => verdictOf(message, meters));
    const verdicts = found.every(isAtHand) ? found : await Promise.all(found);
    const judged = messages.map((message, at) => ({ message, verdict: verdicts[at]! }));
    // What is remembered may be out of date: nobody is refused for it unasked.
    for (const [blames, ageMillis] of ASKED_AGAIN) {
      const blamed = judged.filter(({ verdict }) => blames(verdict));
      if (blamed.length === 0) continue;
      const ids = idsOf(blamed.map(({ message }) => message));
      const fresh = await this.directory.find(sql, ids, ageMillis);
      for (const each of blamed) each.verdict = await verdictOf(each.message, fresh);
    }
    // Field by field: two objects spread into a third cost more than all the rest of it.
    return judged.map(({ message, verdict }) => ({
      topic: message.topic,
      payload: message.payload,
      microgridId: message.microgridId,
      meterId: message.meterId,
      mayRepeat: message.mayRepeat,
      readings: verdict.readings,
      rejections: verdict.rejections,
      keyNumber: verdict.keyNumber,
      counter: verdict.counter,
      overdue: message.signed !== null && this.overdue.has(nameOf(message)),
    }));
  }

  private add({ accepted, repeated, rejected }: StoredBatch): void {
    this.count('accepted', accepted);
    this.count('repeated', repeated);
    for (const [reason, times] of Object.entries(rejected)) this.count(reason, times);
  }
}

/** Whatever a payload does to the decoder, it is the payload's fault and must not come again. */
function open(message: IncomingMessage): OpenedMessage {
  try {
    return openMessage(message);
  } catch {
    const { topic, payload } = message;
    const rejections = [{ reason: 'malformed' as const, detail: 'not readable' }];
    const nothing = { microgridId: '', meterId: '', readings: [], signed: null, mayRepeat: false };
    return { topic, payload, rejections, ...nothing };
  }
}

function nameOf({ meterId, payload }: OpenedMessage): string {
  return `${meterId} ${createHash('sha256').update(payload).digest('base64')}`;
}

function isAtHand(verdict: Verdict | Promise<Verdict>): verdict is Verdict {
  return !(verdict instanceof Promise);
}

function idsOf(messages: readonly OpenedMessage[]): Set<string> {
  return new Set(messages.map(({ meterId }) => meterId));
}

/** The values themselves are at fault (SQLSTATE classes 22 and 23): they would be so again. */
function isRefusal(error: unknown): boolean {
  return /^(22|23)/.test(stateOf(error));
}

/** Two batches met (serialization failure, deadlock): the next attempt finds the way free. */
function isCollision(error: unknown): boolean {
  return stateOf(error).startsWith('40');
}

function stateOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code.length === 5 ? code : '';
}

/** How long the first message of a batch waits for others. */
const LINGER_MILLIS = 3;
const MAX_BATCH = 2_000;
/**
 * Some thousand readings: small enough that others gather and are opened while one commits. Who waits
 * for an acknowledgement sends nothing, and all of them in one batch would wait together.
 */
const MAX_BATCH_BYTES = 256 * 1024;
const MAX_COMMITTING = 2;
const MAX_ATTEMPTS = 3;
const MAX_OVERDUE = 20_000;
/** What is looked up anew before somebody is refused for it, unless it is younger than this. */
const ASKED_AGAIN = [
  [blamesMeter, 1_000],
  [blamesKey, 0],
] as const;
/** Where one reading comes again, more do: then news is not worth guessing for a while. */
const CAUTIOUS_BATCHES = 16;
const UNIQUE_VIOLATION = '23505';
