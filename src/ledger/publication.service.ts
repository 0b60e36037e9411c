import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { OnModuleDestroy } from '@nestjs/common';
import { SETTINGS, type Settings } from '../config.js';
import { DatabaseService } from '../database/database.service.js';
import { toUtf8 } from '../transparency/bytes.js';
import { findEquivocation, formatEquivocation } from '../transparency/equivocation.js';
import { consistencyProof } from '../transparency/merkle-proof.js';
import { formatNote, parseNote } from '../transparency/signed-note.js';
import { formatPolicy, meetsQuorum, openByPolicy } from '../transparency/tlog-policy.js';
import { writeWhole } from './log-keyring.service.js';
import { LogService, type SignedCheckpoint } from './log.service.js';
import * as store from './publication.store.js';
import { WitnessClient, type Asked } from './witness-client.service.js';

/** A microgrid's latest signed checkpoint. */
interface Standing extends SignedCheckpoint {
  microgridId: string;
  /** The size published last; null for none. */
  published: number | null;
}

/** A microgrid with records of which none is signed yet. */
interface Unsigned {
  microgridId: string;
  size: null;
  published: null;
}

/** What is told to Prometheus. */
export interface PublicationFigures {
  /** Signed, and not published yet: records, and how long it has waited. */
  lags: { microgrid: string; records: number; seconds: number }[];
  failures: { witness: string; reason: string; count: number }[];
}

/** The service's log is not the one that its witnesses have seen: it must not go on from here. */
export class LogContradicted extends Error {
  override name = 'LogContradicted';
}

/**
 * Brings signed checkpoints before the witnesses and publishes those that their quorum cosigned. What
 * was not published stays signed and is asked for again. A log is held, so that nothing more is signed
 * for it, until its witnesses have said that it is the one they know: a database restored from a backup
 * must not tell a second story. Slots are settled meanwhile.
 */
@Injectable()
export class PublicationService implements OnModuleDestroy {
  private readonly log = new Logger('witnesses');
  private readonly witnesses: readonly WitnessClient[];
  private readonly failures = new Map<string, { witness: string; reason: string; count: number }>();
  private readonly waiting = new Map<
    string,
    { sinceMillis: number; tries: number; notBefore: number }
  >();
  private listed = '';
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(DatabaseService) private readonly database: DatabaseService,
    @Inject(LogService) private readonly logs: LogService,
  ) {
    this.witnesses = logs.witnesses.flatMap((witness) =>
      witness.url === undefined
        ? []
        : [new WitnessClient({ ...witness, url: witness.url }, settings.witnessTimeoutMillis)],
    );
  }

  /** Publishes from now on, whenever something was signed. */
  start(): void {
    this.schedule();
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  /**
   * Shows every log's latest checkpoint to the witnesses before anything new is signed. Logs of which
   * no quorum could be heard are held.
   * @throws LogContradicted when a witness has seen more of a log than this database has, or otherwise
   */
  async checkAtStart(): Promise<void> {
    if (this.witnesses.length === 0) return;
    await this.list();
    const standings = await this.standings();
    await inBatches(standings, AT_ONCE, async (standing) => {
      const fault = await this.show(standing);
      if (fault !== null) throw new LogContradicted(fault);
    });
    const held = standings.filter(({ microgridId }) => this.logs.isHeld(microgridId));
    if (held.length === 0) return;
    this.log.warn(
      `No quorum of witnesses answers for ${held.map(({ microgridId }) => microgridId).join(', ')}: ` +
        'slots are settled, and nothing is signed until one does.',
    );
  }

  /** Shows what is signed and not published, or held, to the witnesses once. */
  async publishDue(): Promise<void> {
    if (this.witnesses.length === 0) return;
    await this.list();
    const now = Date.now();
    const due = (await this.standings()).filter(({ microgridId, size, published }) => {
      if (size === published && !this.logs.isHeld(microgridId)) return false;
      const wait = this.waiting.get(microgridId);
      if (!wait) this.waiting.set(microgridId, { sinceMillis: now, tries: 0, notBefore: 0 });
      return (wait?.notBefore ?? 0) <= now;
    });
    await inBatches(due, AT_ONCE, async (standing) => {
      const fault = await this.show(standing).catch(messageOf);
      if (fault === null) return;
      this.postpone(standing.microgridId);
      this.log.error(fault);
    });
  }

  /** The checkpoints of a log that its witnesses show, as they are; of any number of those asked. */
  async seenByWitnesses(microgridId: string): Promise<string[]> {
    const origin = this.logs.origin(microgridId);
    const seen = await Promise.all(this.witnesses.map((client) => client.latest(origin)));
    return seen.flatMap((note) => (note === null || note === 'unreachable' ? [] : [note]));
  }

  async figures(): Promise<PublicationFigures> {
    const standings = this.witnesses.length === 0 ? [] : await this.standings();
    return {
      lags: standings.map(({ microgridId, size, published }) => {
        const wait = size === published ? undefined : this.waiting.get(microgridId);
        return {
          microgrid: microgridId,
          records: (size ?? 0) - (published ?? 0),
          seconds: wait ? (Date.now() - wait.sinceMillis) / 1000 : 0,
        };
      }),
      failures: [...this.failures.values()],
    };
  }

  private schedule(): void {
    if (this.stopped || this.witnesses.length === 0) return;
    this.timer = setTimeout(() => {
      this.running = this.publishDue()
        .catch((error: unknown) => this.log.error(`Publishing is tried again: ${messageOf(error)}`))
        .finally(() => this.schedule());
    }, POLL_MILLIS);
  }

  /** @returns why the log must not go on: it is held then. Null otherwise, published or not */
  private async show(standing: Standing | Unsigned): Promise<string | null> {
    const { microgridId } = standing;
    const origin = this.logs.origin(microgridId);
    // After its log was begun anew, what was signed under the old name is nothing to be shown.
    const isNew = standing.size === null || !standing.note.startsWith(`${origin}\n`);
    if (isNew) return this.begin(microgridId, origin);
    const answers = await this.askAll(standing, origin);
    const fault = await this.faultIn(standing, answers);
    if (fault !== null) {
      this.logs.hold(microgridId);
      return fault;
    }
    this.releaseIfHeard(microgridId, (at) => KNOWS.has(answers[at]!.outcome));
    const { text, signatures } = parseNote(standing.note);
    const made = answers.flatMap((one) => (one.outcome === 'cosigned' ? [one.signature] : []));
    const cosigned = formatNote({ text, signatures: [...signatures, ...made] });
    if (openByPolicy(cosigned, this.logs.policy(microgridId)).outcome === 'verified') {
      await this.publish(standing, cosigned);
      this.waiting.delete(microgridId);
    } else this.postpone(microgridId);
    return null;
  }

  /** Before the first signature under a name: no witness may know of a log of this name. */
  private async begin(microgridId: string, origin: string): Promise<string | null> {
    const known = await Promise.all(this.witnesses.map((client) => client.latest(origin)));
    const at = known.findIndex((note) => note !== null && note !== 'unreachable');
    if (at >= 0) {
      return `Nothing of the log of ${microgridId} is signed here, and the witness ${this.witnesses[at]!.witness.key.name} has cosigned ${sizeIn(known[at]!)} records of it. ${GOING_ON}`;
    }
    this.releaseIfHeard(microgridId, (one) => known[one] === null);
    if (this.logs.isHeld(microgridId)) this.postpone(microgridId);
    else this.waiting.delete(microgridId);
    return null;
  }

  private async askAll(standing: Standing, origin: string): Promise<Asked[]> {
    const { microgridId, size, note } = standing;
    const read = this.logs.hashReader(this.database, microgridId, size);
    const proofFrom = (oldSize: number) => consistencyProof(oldSize, size, read);
    const offer = { origin, size, note, proofFrom };
    const answers = await Promise.all(this.witnesses.map((client) => client.ask(offer)));
    this.count(answers);
    return answers;
  }

  private releaseIfHeard(microgridId: string, isHeard: (at: number) => boolean): void {
    const names = this.witnesses.filter((_, at) => isHeard(at)).map(({ witness }) => witness.name);
    if (meetsQuorum(this.logs.policy(microgridId), names)) this.logs.release(microgridId);
  }

  private async publish({ microgridId, size }: Standing, cosigned: string): Promise<void> {
    // Addresses say nothing about whose signatures count.
    const { logs, witnesses, groups, quorum } = this.logs.policy(microgridId);
    const nameless = witnesses.map(({ name, key }) => ({ name, key }));
    const policy = Buffer.from(formatPolicy({ logs, witnesses: nameless, groups, quorum }));
    const hash = createHash('sha256').update(policy).digest();
    await this.database.transaction(async (sql) => {
      await sql.query(store.KEEP_POLICY, [microgridId, hash, policy]);
      await sql.query(store.PUBLISH, [microgridId, size, cosigned, hash]);
    });
  }

  /** Why the log must not go on, by what witnesses answered; null when nothing speaks against it. */
  private async faultIn(standing: Standing, answers: readonly Asked[]): Promise<string | null> {
    const { microgridId, size } = standing;
    for (const [at, answer] of answers.entries()) {
      const client = this.witnesses[at]!;
      const name = client.witness.key.name;
      if (answer.outcome === 'ahead') {
        return `The log of ${microgridId} is signed up to record ${size} here, and the witness ${name} has cosigned ${answer.size}: this database lacks what was published, as one restored from an older backup does. ${GOING_ON}`;
      }
      if (answer.outcome !== 'contradicts') continue;
      const evidence = await this.keepEvidence(standing, client);
      const where = evidence === null ? '' : ` Both are kept in ${evidence}.`;
      return `The log of ${microgridId} does not extend what the witness ${name} has cosigned: its history was changed, or another log was begun under its name.${where} ${GOING_ON}`;
    }
    return null;
  }

  /** Two signed checkpoints that contradict each other, in a file that anyone can check. */
  private async keepEvidence(
    { microgridId, size, note }: Standing,
    client: WitnessClient,
  ): Promise<string | null> {
    const theirs = await client.latest(this.logs.origin(microgridId));
    if (theirs === null || theirs === 'unreachable') return null;
    const read = this.logs.hashReader(this.database, microgridId, size);
    for (const { key } of this.logs.policy(microgridId).logs) {
      const evidence = await findEquivocation(key, [note, theirs], read).catch(() => null);
      if (!evidence) continue;
      const text = formatEquivocation(evidence);
      const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
      const folder = join(this.settings.dataDir, 'evidence');
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const file = join(folder, `${microgridId}-${hash}.json`);
      writeWhole(file, toUtf8(text));
      return file;
    }
    return null;
  }

  /** The public keys of all logs, for witnesses that follow the service's own list. */
  private async list(): Promise<void> {
    const microgrids = await this.database.query<{ microgridId: string }>(store.LOGS);
    const logs = microgrids.flatMap(({ microgridId }) => this.logs.policy(microgridId).logs);
    const bytes = formatPolicy({ logs, witnesses: [], groups: [], quorum: 'none' });
    const text = Buffer.from(bytes).toString('base64');
    if (text === this.listed) return;
    writeWhole(this.settings.logsFile ?? join(this.settings.dataDir, 'logs.policy'), bytes);
    this.listed = text;
  }

  private standings(): Promise<(Standing | Unsigned)[]> {
    return this.database.query<Standing | Unsigned>(store.STANDINGS);
  }

  private count(answers: readonly Asked[]): void {
    answers.forEach(({ outcome: reason }, at) => {
      if (reason === 'cosigned') return;
      const witness = this.witnesses[at]!.witness.name;
      const known = this.failures.get(`${witness} ${reason}`) ?? { witness, reason, count: 0 };
      this.failures.set(`${witness} ${reason}`, { ...known, count: known.count + 1 });
    });
  }

  /** Asked again after 1, 2, 4 ... seconds, at most half a minute. */
  private postpone(microgridId: string): void {
    const now = Date.now();
    const wait = this.waiting.get(microgridId) ?? { sinceMillis: now, tries: 0, notBefore: 0 };
    const seconds = Math.min(2 ** wait.tries, 30);
    this.waiting.set(microgridId, {
      ...wait,
      tries: wait.tries + 1,
      notBefore: now + seconds * 1000,
    });
  }
}

const POLL_MILLIS = 500;
/** Logs shown side by side. */
const AT_ONCE = 16;
/** Answers of a witness that speaks for or has nothing against the log. */
const KNOWS = new Set<Asked['outcome']>(['cosigned', 'log_not_known']);
const GOING_ON =
  'Bring the missing records back with npm run restore, from an export or a mirror. If nobody has them, ' +
  'npm run operator -- new-origin begins a log under a new name that commits to the last cosigned checkpoint.';

async function inBatches<T>(
  all: readonly T[],
  width: number,
  work: (one: T) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < all.length; at += width) {
    await Promise.all(all.slice(at, at + width).map(work));
  }
}

/** The second line of a checkpoint, as far as it is one. */
function sizeIn(note: string): string {
  return /^[^\n]*\n(\d{1,16})\n/.exec(note)?.[1] ?? 'some';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
