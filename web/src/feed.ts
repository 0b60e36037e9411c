/**
 * The socket to /feed: subscribes, resumes where it broke off, asks again when a gap shows, renews
 * its token, and comes back by itself. What it hears is folded into one state that panels read.
 */
import { io, type Socket } from 'socket.io-client';
import type { FeedEvent, Resync, SubscribeAck } from '../../src/feed/feed-event.js';
import type { Api } from './api.js';
import { NOTHING_YET, reduceFrame, resynced, subscribed, type FeedState } from './feed-reducer.js';

export interface FeedView {
  status: 'connecting' | 'live' | 'offline';
  /** Our clock when the feed last said anything; null before. */
  heardAt: number | null;
  state: FeedState;
}

const COME_BACK_MILLIS = 3_000;
/** A burst of frames (a slot of many trades, a resume) is shown at once. */
const GATHER_MILLIS = 120;
const ACK_MILLIS = 10_000;

export class Feed {
  private readonly socket: Socket;
  private readonly listeners = new Set<() => void>();
  private view: FeedView = { status: 'connecting', heardAt: null, state: NOTHING_YET };
  /** While a gap is being filled, frames beyond it only show it again: they come once more. */
  private filling = false;
  private comeBack: number | undefined;
  private gathering: number | undefined;

  constructor(
    private readonly api: Api,
    private readonly microgrid: string,
  ) {
    this.socket = io('/feed', {
      transports: ['websocket'],
      auth: (give) => {
        api.token().then(
          (token) => give({ token }),
          () => give({}),
        );
      },
      reconnectionDelayMax: COME_BACK_MILLIS,
      forceNew: true,
    });
    this.socket.on('connect', () => void this.subscribe());
    this.socket.on('feed', (frame: FeedEvent[]) => this.take(frame));
    this.socket.on('resync', (resync: Resync) => this.resync(resync));
    this.socket.on('auth_expired', () => void this.authenticate());
    this.socket.on('disconnect', () => this.lost());
    this.socket.on('connect_error', () => this.lost());
    window.addEventListener('offline', this.unplugged);
    window.addEventListener('online', this.plugged);
  }

  /** The browser knows at once; the socket would notice only after its next heartbeats. */
  private readonly unplugged = (): void => {
    this.socket.disconnect();
  };

  private readonly plugged = (): void => {
    this.socket.connect();
  };

  /** What is known now; a new object whenever it changed. */
  readonly current = (): FeedView => this.view;

  readonly onChange = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  close(): void {
    window.clearTimeout(this.comeBack);
    window.clearTimeout(this.gathering);
    window.removeEventListener('offline', this.unplugged);
    window.removeEventListener('online', this.plugged);
    this.listeners.clear();
    this.socket.removeAllListeners();
    this.socket.close();
  }

  private async subscribe(): Promise<void> {
    const since = this.view.state.sequence;
    let ack: SubscribeAck;
    try {
      ack = (await this.socket.timeout(ACK_MILLIS).emitWithAck('subscribe', {
        microgrid: this.microgrid,
        ...(since !== null && { since }),
      })) as SubscribeAck;
    } catch {
      // No answer: whoever is on the other end, a new connection is the better try.
      this.socket.disconnect();
      return;
    }
    this.filling = false;
    if (!ack.ok) {
      this.show({ status: 'offline' });
      this.comeBackLater();
      return;
    }
    this.show({
      status: 'live',
      heardAt: Date.now(),
      state: subscribed(this.view.state, ack.sequence),
    });
  }

  private take(frame: FeedEvent[]): void {
    const reduced = reduceFrame(this.view.state, frame);
    if (reduced.gap) {
      if (!this.filling) void this.fill();
      return;
    }
    this.view = { status: 'live', heardAt: Date.now(), state: reduced.state };
    this.gathering ??= window.setTimeout(() => this.tell(), GATHER_MILLIS);
  }

  /** Asks again for everything after what is known. */
  private fill(): Promise<void> {
    this.filling = true;
    return this.subscribe();
  }

  private resync(resync: Resync): void {
    if (resync.microgrid !== this.microgrid) return;
    this.filling = false;
    this.show({ heardAt: Date.now(), state: resynced(this.view.state, resync.sequence) });
  }

  /** Asking who we are renews a token that no longer holds, or ends the session. */
  private async authenticate(): Promise<void> {
    try {
      await this.api.get('/v1/sessions/current');
      this.socket.emit('authenticate', { token: await this.api.token() });
    } catch {
      this.lost();
    }
  }

  private lost(): void {
    this.filling = false;
    this.show({ status: 'offline' });
    // Closed or refused by the service, the client does not try again of its own accord.
    if (!this.socket.active) this.comeBackLater();
  }

  private comeBackLater(): void {
    window.clearTimeout(this.comeBack);
    this.comeBack = window.setTimeout(() => {
      if (this.socket.connected) void this.subscribe();
      else this.socket.connect();
    }, COME_BACK_MILLIS);
  }

  private show(change: Partial<FeedView>): void {
    this.view = { ...this.view, ...change };
    this.tell();
  }

  private tell(): void {
    window.clearTimeout(this.gathering);
    this.gathering = undefined;
    for (const listener of this.listeners) listener();
  }
}
