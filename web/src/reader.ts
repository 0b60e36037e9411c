/**
 * Reads one thing over and over as it changes, never twice at once: a change while a read is under way
 * lets that read finish, and is read once more after it. However fast changes come, reads come to their
 * end, and nothing that was begun before the last change is told as the latest.
 */
import { ApiProblem, asProblem } from './problem.js';

/** What is wanted: the state of things after a change, and how often it was asked for by hand. */
export interface Wanted {
  version: number | string;
  tries: number;
}

/** How a read ended. `wanted` is what was wanted when it began: the answer is at least that new. */
export type Told<T> = { wanted: Wanted } & ({ data: T } | { problem: ApiProblem });

/** A service that was away, or its database, is asked again after this long. */
const RETRY_MILLIS = 5_000;
/** A read that is not answered by then never will be. */
const PATIENCE_MILLIS = 30_000;

export class Reader<T> {
  private wanted: Wanted | null = null;
  private reading: AbortController | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  /** @param tell hears of every read but those that began before somebody asked by hand */
  constructor(
    private readonly load: (signal: AbortSignal) => Promise<T>,
    private readonly tell: (told: Told<T>) => void,
  ) {}

  /** Reads what is wanted now, at once or after the read that is under way. */
  want(wanted: Wanted): void {
    this.wanted = wanted;
    if (this.reading === null) void this.read(wanted);
  }

  /** Gives up the read that is under way and tells nothing more. */
  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.reading?.abort();
  }

  private async read(wanted: Wanted): Promise<void> {
    clearTimeout(this.retry);
    const told = await this.attempt(wanted);
    if (this.closed) return;
    // Whoever saved something and asks again is not shown what was there before.
    if (this.wanted?.tries === wanted.tries) this.tell(told);
    this.reading = null;
    if (this.wanted && this.wanted !== wanted) return this.read(this.wanted);
    if ('problem' in told && isAway(told.problem)) {
      this.retry = setTimeout(() => void this.read(wanted), RETRY_MILLIS);
    }
  }

  private async attempt(wanted: Wanted): Promise<Told<T>> {
    const reading = new AbortController();
    this.reading = reading;
    const tired = setTimeout(() => reading.abort(), PATIENCE_MILLIS);
    try {
      return { wanted, data: await this.load(reading.signal) };
    } catch (error) {
      return { wanted, problem: reading.signal.aborted ? unanswered() : asProblem(error) };
    } finally {
      clearTimeout(tired);
    }
  }
}

function isAway({ status }: ApiProblem): boolean {
  return status === 0 || status === 503;
}

function unanswered(): ApiProblem {
  return new ApiProblem(0, 'unanswered', 'The service does not answer. Is it running?');
}
