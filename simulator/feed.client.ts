import { setTimeout as sleep } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';
import type { SettledEnergy } from './battery.js';
import { ServiceRefusal, type ServiceSession } from './http.client.js';

/**
 * One household's ear: its own settlements from the feed, for as long as the simulation runs. It comes
 * back after a restart with a fresh token, and asks for what it missed by the last sequence it saw.
 */
export class SettlementFeed {
  #socket: Socket | null = null;
  #since: number | undefined;
  #closed = false;
  #renewal: NodeJS.Timeout | undefined;
  settlements = 0;

  constructor(
    private readonly options: {
      baseUrl: () => string;
      session: ServiceSession;
      microgrid: string;
      household: string;
      onSettlement: (settled: SettledEnergy & { slot: string }) => void;
      onTrouble: (message: string) => void;
    },
  ) {}

  /** Runs until `close`; every failure is followed by another attempt. */
  async listen(): Promise<void> {
    for (let attempt = 0; !this.#closed; attempt += 1) {
      try {
        const ended = await this.#open();
        attempt = 0;
        await ended;
      } catch (error) {
        const reason = (error as Error).message;
        if (!this.#closed) this.options.onTrouble(`waiting for the feed: ${reason}`);
        if (isRefusal(error)) this.options.session.forget();
        // The person changed the password: more attempts would only lock them out.
        if (error instanceof ServiceRefusal && error.status === 401) this.close();
      }
      this.#drop();
      if (!this.#closed) await sleep(Math.min(500 * 2 ** attempt, 10_000), null, { ref: false });
    }
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  /** Resolves once subscribed, with a promise of the connection's end. */
  async #open(): Promise<Promise<void>> {
    const { token, expiresAtMillis } = await this.options.session.token();
    if (this.#closed) return Promise.resolve();
    const socket = io(new URL('/feed', this.options.baseUrl()).href, {
      transports: ['websocket'],
      auth: { token },
      reconnection: false,
      forceNew: true,
      timeout: 10_000,
    });
    this.#socket = socket;
    const ended = new Promise<void>((resolve) => socket.once('disconnect', () => resolve()));
    await connected(socket);
    socket.on('feed', (frame: unknown) => this.#hear(frame));
    // Too much was missed to be sent again; what follows is enough for a plan.
    socket.on('resync', () => (this.#since = undefined));
    const { microgrid } = this.options;
    const since = this.#since;
    const answer = SUBSCRIBED.parse(
      await ask(socket, 'subscribe', since === undefined ? { microgrid } : { microgrid, since }),
    );
    if (!answer.ok) throw refusal(answer.detail ?? 'subscription refused', answer.code);
    this.#since ??= answer.sequence;
    this.#renewBefore(socket, expiresAtMillis);
    return ended;
  }

  #renewBefore(socket: Socket, expiresAtMillis: number): void {
    const wait = Math.max(expiresAtMillis - Date.now() - 45_000, 1_000);
    this.#renewal = setTimeout(() => {
      void this.options.session
        .token()
        .then(async (fresh) => {
          await ask(socket, 'authenticate', { token: fresh.token });
          this.#renewBefore(socket, fresh.expiresAtMillis);
        })
        // The service closes the socket at expiry; the next attempt logs in anew.
        .catch((error: Error) => this.options.onTrouble(error.message));
    }, wait);
    this.#renewal.unref();
  }

  #hear(frame: unknown): void {
    const events = FRAME.safeParse(frame);
    if (!events.success) return;
    for (const event of events.data) {
      this.#since = Math.max(this.#since ?? 0, event.sequence);
      if (event.type !== 'settlement') continue;
      const settled = SETTLEMENT.safeParse(event);
      if (!settled.success || settled.data.household !== this.options.household) continue;
      // A correction tells of a slot long past; a plan only looks ahead.
      if (settled.data.revision > 0) continue;
      this.settlements += 1;
      this.options.onSettlement(settled.data);
    }
  }

  #drop(): void {
    clearTimeout(this.#renewal);
    this.#socket?.disconnect();
    this.#socket = null;
  }
}

/** @throws Error with `data` when the service refuses, without when it cannot be reached */
function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('connect_error', reject);
  });
}

function refusal(detail: string, code: string | undefined): Error {
  return Object.assign(new Error(detail), { data: { code } });
}

/** Whether another token might help: the service was reached and said no. */
function isRefusal(error: unknown): boolean {
  return (error as { data?: unknown }).data !== undefined;
}

/** The service's answer. @throws Error when the connection ends first, or nothing comes in ten seconds */
function ask(socket: Socket, event: string, message: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (!socket.connected) return reject(new Error(`connection lost before ${event}`));
    const give = (outcome: () => void) => {
      clearTimeout(timer);
      socket.off('disconnect', lost);
      outcome();
    };
    const lost = () => give(() => reject(new Error(`connection lost during ${event}`)));
    const timer = setTimeout(() => give(() => reject(new Error(`no answer to ${event}`))), 10_000);
    socket.once('disconnect', lost);
    socket.emit(event, message, (answer: unknown) => give(() => resolve(answer)));
  });
}

const SUBSCRIBED = z.object({
  ok: z.boolean(),
  sequence: z.int().optional(),
  code: z.string().optional(),
  detail: z.string().optional(),
});

const FRAME = z.array(z.looseObject({ type: z.string(), sequence: z.int() }));

const SETTLEMENT = z.object({
  household: z.string(),
  slot: z.string(),
  revision: z.int(),
  toNeighborsWh: z.int(),
  toGridWh: z.int(),
  fromNeighborsWh: z.int(),
  fromGridWh: z.int(),
});
