import type { Socket } from 'socket.io';
import type { Grant } from '../parties/access.js';
import type { Caller } from '../parties/access.decorator.js';
import { parseInstant } from '../units/slot.js';
import type { FeedEvent, Resync } from './feed-event.js';
import type { Following, Listener } from './feed.service.js';

/** More is sent only while less than this waits to leave the process. */
const READY_BYTES = 256 * 1024;
/** What may wait at most: a client that lets more pile up is cut off, and resumes by `since`. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** A client that takes nothing for so long is cut off. */
const STALLED_MILLIS = 10_000;
/** From `auth_expired` to the end; with the recheck before it, within the promised 5 s. */
const EXPIRY_GRACE_MILLIS = 2_500;

/**
 * One socket of the feed: whose it is, until when, what it follows, and how much of what it was sent
 * still waits. Nothing here waits for the client.
 */
export class FeedClient implements Listener {
  readonly followings = new Map<string, Following>();
  grants: readonly Grant[];
  private caller: Caller;
  private queuedBytes = 0;
  private leavingBytes = 0;
  private leavingSince: number | null = null;
  private closing: NodeJS.Timeout | null = null;
  private turn: Promise<unknown> = Promise.resolve();

  /** @param onExpiry is called when the client must not be told anything more */
  constructor(
    private readonly socket: Socket,
    caller: Caller,
    private readonly onExpiry: (client: FeedClient) => void,
  ) {
    this.caller = caller;
    this.grants = caller.grants;
    this.watchBuffer();
  }

  get sessionId(): string {
    return this.caller.sessionId;
  }

  get personId(): string {
    return this.caller.personId;
  }

  get isOpen(): boolean {
    return this.closing === null && this.socket.connected;
  }

  send(events: FeedEvent[]): void {
    if (this.expireIfDue()) return;
    this.socket.emit('feed', events);
    if (this.queuedBytes + this.leavingBytes > MAX_WAITING_BYTES) this.cut();
  }

  /** Events that may be lost: not sent at all while others wait. */
  pass(events: FeedEvent[]): void {
    if (!this.expireIfDue() && this.ready()) this.socket.volatile.emit('feed', events);
  }

  resync(microgrid: string, sequence: number): void {
    this.socket.emit('resync', { microgrid, sequence } satisfies Resync);
  }

  ready(): boolean {
    return this.isOpen && this.queuedBytes + this.leavingBytes < READY_BYTES;
  }

  expire(): void {
    if (this.closing) return;
    this.onExpiry(this);
    this.socket.emit('auth_expired', { closesInMillis: EXPIRY_GRACE_MILLIS });
    this.closing = setTimeout(() => this.close(), EXPIRY_GRACE_MILLIS);
  }

  /** Expires when its token has, and is cut off when it takes nothing. @returns whether it expired */
  inspect(): void {
    this.expireIfDue();
    if (this.leavingSince !== null && Date.now() - this.leavingSince > STALLED_MILLIS) this.cut();
  }

  /** Goes on under another session of the same person. */
  renew(caller: Caller): void {
    this.caller = caller;
    this.grants = caller.grants;
    if (this.closing) clearTimeout(this.closing);
    this.closing = null;
  }

  /** Runs what the client asks for one after the other, in the order in which it asked. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work);
    this.turn = result.catch(() => undefined);
    return result;
  }

  /** Ends the connection at once, whatever still waits. */
  cut(): void {
    // Closing politely would first wait for the client to take what is in the buffer.
    this.socket.request.socket.destroy();
  }

  forget(): void {
    if (this.closing) clearTimeout(this.closing);
  }

  private close(): void {
    if (this.queuedBytes + this.leavingBytes > 0) this.cut();
    else this.socket.disconnect(true);
  }

  private expireIfDue(): boolean {
    if (Date.now() >= parseInstant(this.caller.expiresAt)) this.expire();
    return this.closing !== null;
  }

  /** Engine.io queues packets while the transport is busy, then hands all of them over at once. */
  private watchBuffer(): void {
    const { conn } = this.socket;
    conn.on('packetCreate', (packet: { data?: string | Buffer }) => {
      this.queuedBytes += packet.data?.length ?? 0;
    });
    conn.on('flush', () => {
      this.leavingBytes += this.queuedBytes;
      this.queuedBytes = 0;
      this.leavingSince ??= Date.now();
    });
    conn.transport.on('drain', () => {
      this.leavingBytes = 0;
      this.leavingSince = null;
    });
  }
}
