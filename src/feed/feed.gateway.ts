import { Inject, Logger, type OnModuleDestroy } from '@nestjs/common';
import {
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  type OnGatewayInit,
  WebSocketGateway,
} from '@nestjs/websockets';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Namespace, Socket } from 'socket.io';
import type { z } from 'zod';
import type { Caller } from '../parties/access.decorator.js';
import { PartiesService } from '../parties/parties.service.js';
import { FeedClient } from './feed-client.gateway.js';
import {
  authenticateMessage,
  subscribeMessage,
  type AuthenticateAck,
  type SubscribeAck,
} from './feed-event.js';
import { FeedService } from './feed.service.js';

const MAX_SUBSCRIPTIONS = 32;
const MESSAGES_PER_PERIOD = 40;
const PERIOD_SECONDS = 10;
/** Sessions, expiries and stalled clients are looked at this often. */
const SWEEP_MILLIS = 1_500;

type Refusal = { ok: false; code: string; detail: string };

/**
 * The `/feed` namespace: who connects is known by the token of the handshake, what they hear follows
 * from their grants. Messages are answered through their acknowledgement, refusals too.
 */
@WebSocketGateway({ namespace: '/feed' })
export class FeedGateway
  implements OnGatewayInit, OnGatewayConnection, OnGatewayDisconnect, OnModuleDestroy
{
  private readonly log = new Logger(FeedGateway.name);
  private readonly clients = new Map<string, FeedClient>();
  private readonly limiter = new RateLimiterMemory({
    points: MESSAGES_PER_PERIOD,
    duration: PERIOD_SECONDS,
  });
  private sweeping = false;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    @Inject(FeedService) private readonly feed: FeedService,
    @Inject(PartiesService) private readonly parties: PartiesService,
  ) {}

  afterInit(namespace: Namespace): void {
    namespace.use((socket, next) => {
      this.admit(socket).then(() => next(), next);
    });
    this.timer = setInterval(() => void this.sweep(), SWEEP_MILLIS);
  }

  /**
   * Handlers are bound here and not by decorators: guards, pipes and filters of the application are
   * made for HTTP, and every refusal is an acknowledgement here.
   */
  handleConnection(socket: Socket): void {
    const client = new FeedClient(socket, (socket.data as { caller: Caller }).caller, () => {
      for (const following of client.followings.values()) this.feed.leave(following);
    });
    this.clients.set(socket.id, client);
    socket.use(([, ...parameters], next) => {
      this.limiter.consume(socket.id).then(
        () => next(),
        (limit: unknown) => this.refuseFlood(client, limit, parameters.at(-1)),
      );
    });
    socket.on('subscribe', (message: unknown, ack: unknown) =>
      this.answer(client, subscribeMessage, message, ack, ({ microgrid, since }, reply) =>
        this.subscribe(client, microgrid, since, reply),
      ),
    );
    socket.on('authenticate', (message: unknown, ack: unknown) =>
      this.answer(client, authenticateMessage, message, ack, ({ token }, reply) =>
        this.authenticate(client, token, reply),
      ),
    );
  }

  handleDisconnect(socket: Socket): void {
    const client = this.clients.get(socket.id);
    if (!client) return;
    this.clients.delete(socket.id);
    for (const following of client.followings.values()) this.feed.leave(following);
    client.forget();
    void this.limiter.delete(socket.id);
  }

  onModuleDestroy(): void {
    if (this.timer) clearInterval(this.timer);
    for (const client of this.clients.values()) client.forget();
  }

  /** @throws Error that the client receives as `connect_error` */
  private async admit(socket: Socket): Promise<void> {
    const { token } = socket.handshake.auth as { token?: unknown };
    const known = authenticateMessage.safeParse({ token });
    const caller = known.success ? await this.callerOf(known.data.token) : null;
    if (!caller) throw refusalError('unauthorized', 'Log in, and connect with the new token.');
    (socket.data as { caller?: Caller }).caller = caller;
  }

  private async callerOf(token: string): Promise<Caller | null> {
    try {
      return await this.parties.callerOf(token);
    } catch (error) {
      this.log.error(error);
      throw refusalError('unavailable', 'The service cannot check the token now. Try again.');
    }
  }

  private async subscribe(
    client: FeedClient,
    microgrid: string,
    since: number | undefined,
    reply: (answer: SubscribeAck) => void,
  ): Promise<void> {
    const current = client.followings.get(microgrid);
    if (!current && client.followings.size >= MAX_SUBSCRIPTIONS) {
      return reply(
        refusal('too_many_subscriptions', `A socket follows at most ${MAX_SUBSCRIPTIONS}.`),
      );
    }
    const opening = await this.feed.open(client, microgrid, since);
    if (opening.outcome === 'no_rooms') {
      return reply(refusal('forbidden', 'Nothing of this microgrid is shown to you.'));
    }
    if (!client.isOpen) return reply(refusal('unauthorized', 'The token has ended.'));
    if (current) this.feed.leave(current);
    reply({ ok: true, sequence: opening.sequence, rooms: opening.rooms });
    client.followings.set(microgrid, opening.start());
  }

  private async authenticate(
    client: FeedClient,
    token: string,
    reply: (answer: AuthenticateAck) => void,
  ): Promise<void> {
    const caller = await this.callerOf(token);
    if (!caller) return reply(refusal('unauthorized', 'The token is unknown or has ended.'));
    if (caller.personId !== client.personId) {
      return reply(refusal('another_person', 'Connect anew with the token of another person.'));
    }
    const wasOpen = client.isOpen;
    client.renew(caller);
    reply({ ok: true, expiresAt: caller.expiresAt });
    // After `auth_expired` it was told nothing more: it goes on from where it stood.
    if (!wasOpen) for (const following of client.followings.values()) this.feed.follow(following);
  }

  /** Parses a message and answers it; what goes wrong here is told without its inner text. */
  private answer<T>(
    client: FeedClient,
    schema: z.ZodType<T>,
    message: unknown,
    ack: unknown,
    work: (message: T, reply: (answer: { ok: true } | Refusal) => void) => Promise<void>,
  ): void {
    const reply = (answer: object): void => {
      if (typeof ack === 'function') ack(answer);
    };
    const parsed = schema.safeParse(message);
    if (!parsed.success) {
      const fault = parsed.error.issues[0];
      const where = fault?.path.join('.') || 'The message';
      return reply(refusal('invalid_request', `${where}: ${fault?.message ?? 'not understood'}.`));
    }
    client
      .inTurn(() => work(parsed.data, reply))
      .catch((error: unknown) => {
        this.log.error(error);
        reply(refusal('unavailable', 'The service cannot answer now. Try again.'));
      });
  }

  private refuseFlood(client: FeedClient, limit: unknown, ack: unknown): void {
    const consumed = limit instanceof RateLimiterRes ? limit.consumedPoints : 0;
    if (consumed > 5 * MESSAGES_PER_PERIOD) return client.cut();
    if (typeof ack === 'function') {
      ack(
        refusal('rate_limited', `At most ${MESSAGES_PER_PERIOD} messages in ${PERIOD_SECONDS} s.`),
      );
    }
  }

  private async sweep(): Promise<void> {
    for (const client of this.clients.values()) client.inspect();
    if (this.sweeping) return;
    this.sweeping = true;
    try {
      await this.feed.recheck(new Set(this.clients.values()));
    } catch (error) {
      this.log.warn(`Sessions could not be checked: ${String(error)}`);
    } finally {
      this.sweeping = false;
    }
  }
}

function refusal(code: string, detail: string): Refusal {
  return { ok: false, code, detail };
}

/** Socket.IO hands `data` to the client with the message. */
function refusalError(code: string, detail: string): Error {
  return Object.assign(new Error(code), { data: { code, detail } });
}
