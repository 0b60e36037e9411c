import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceRefusal } from './http.client.js';

/**
 * How a simulated street bears a service that is away: it asks again until it is answered, and gives up
 * only when it is told to stop.
 */
export class Patience {
  constructor(
    readonly signal: AbortSignal,
    private readonly options: {
      tell: (message: string) => void;
      /** Done before every further attempt. */
      lookAgain: () => Promise<void>;
    },
  ) {}

  /** Until the work is done. @throws ServiceRefusal at once: what the service refuses stays refused */
  async until<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt += 1) {
      this.signal.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        if (error instanceof ServiceRefusal && error.status < 500 && error.status !== 429)
          throw error;
        this.options.tell(`waiting for the service: ${reasonOf(error)}`);
      }
      await sleep(Math.min(250 * 2 ** attempt, 5_000), null, { signal: this.signal });
      await this.options.lookAgain();
    }
  }

  /** The work's result, unless it is told to stop first. */
  async unlessAborted<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined);
    this.signal.throwIfAborted();
    let onAbort: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(this.signal.reason as Error);
      this.signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([work, aborted]);
    } finally {
      this.signal.removeEventListener('abort', onAbort!);
    }
  }
}

/** What went wrong, with its cause: a failed fetch says nothing else of use. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
