import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Aedes, type AedesOptions, type Client, type ConnectPacket } from 'aedes';
import type { Settings } from '../config.js';
import type { BrokerLink, BrokerOptions, Principal } from './broker-link.js';
import { Doors, type DoorSettings, type Visitor } from './doors.service.js';
import { capQueues, keepGranted } from './embedded-queues.service.js';
import { Buckets, refusalOf, Tally, type BrokerRefusal } from './limits.js';
import { guardPackets } from './packet-guard.service.js';
import { filterCovers } from './topics.js';

/**
 * An MQTT 3.1.1 broker inside the service. A reading is acknowledged when `intake` has resolved; when
 * it rejects, the connection is dropped, so that the meter sends the reading again.
 */
export class EmbeddedBroker<P extends Principal> implements BrokerLink {
  private readonly log = new Logger('Broker');
  private readonly tally = new Tally();
  private readonly doors: Doors;
  private readonly rate: Buckets;
  private readonly failures = new Buckets(FAILURES_PER_SECOND, 10, MAX_ADDRESSES);
  private readonly visitors = new WeakMap<Client, Visitor>();
  private readonly asked = new WeakMap<Client, ConnectPacket>();
  private readonly principals = new WeakMap<Client, P>();
  private readonly granted = new WeakMap<Client, Set<string>>();
  private readonly connections = new Map<string, Set<Client>>();
  private readonly noted = new WeakSet<Client>();
  /** Ids of the sessions that are kept for a user. */
  private readonly sessions = new Map<string, Set<string>>();
  private readonly underway = new Set<Promise<void>>();
  private broker: Aedes | undefined;
  private sweep: NodeJS.Timeout | undefined;

  constructor(
    private readonly settings: BrokerSettings,
    private readonly options: BrokerOptions<P>,
  ) {
    this.doors = new Doors(settings, this.tally, (visitor) => this.accept(visitor));
    this.rate = new Buckets(settings.mqttMaxMessagesPerSecond, BURST_SECONDS, MAX_METERS);
  }

  async start(): Promise<void> {
    const broker = await Aedes.createBroker({
      ...LIMITS,
      connectTimeout: this.settings.mqttConnectTimeoutSeconds * 1_000,
      ...this.hooks(),
    });
    capQueues(broker, MAX_QUEUED_PER_CLIENT);
    keepGranted(broker, (client, filter) => this.granted.get(client)?.has(filter) === true);
    broker.on('clientDisconnect', (client) => this.forget(client));
    broker.on('clientError', (client, error) => this.note(error, client));
    broker.on('connectionError', (client, error) => this.note(error, client));
    broker.on('unsubscribe', (filters, client) => {
      for (const filter of filters) this.granted.get(client)?.delete(filter);
    });
    this.broker = broker;
    try {
      await this.doors.open();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.sweep = setInterval(() => void this.endAccess(), SWEEP_MILLIS).unref();
  }

  get port(): number {
    return this.doors.port;
  }

  get tlsPort(): number {
    return this.doors.tlsPort;
  }

  refusals(): Readonly<Record<string, number>> {
    return this.tally.all();
  }

  async publish(topic: string, payload: string | Buffer): Promise<void> {
    const { broker } = this;
    if (!broker || broker.closed) throw new Error('The broker is not running.');
    return new Promise((resolve, reject) => {
      const packet = { cmd: 'publish', qos: 1, dup: false, retain: false, topic, payload } as const;
      broker.publish(packet, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Everything that a client may publish is brought to intake anyway. */
  async follow(): Promise<void> {}

  connected(): boolean {
    return this.doors.isOpen();
  }

  disconnect(username: string): void {
    for (const client of this.connections.get(username) ?? []) cutOff(client);
  }

  async stop(): Promise<void> {
    const { broker } = this;
    this.broker = undefined;
    clearInterval(this.sweep);
    this.doors.close();
    await Promise.allSettled(this.underway);
    // What was taken in is acknowledged in the same turn that intake resolves; let it reach the wire.
    await new Promise((resolve) => setImmediate(resolve));
    if (broker) await new Promise<void>((resolve) => broker.close(resolve));
    this.doors.clear();
  }

  private hooks(): AedesOptions {
    return {
      preConnect: (client, packet, done) => {
        this.asked.set(client, packet);
        const username = this.visitors.get(client)?.certified ?? packet.username ?? '';
        // A client id is a name within its user: nobody else's session can be taken over with it.
        if (packet.clientId) packet.clientId = `${username}/${packet.clientId}`;
        // Who promises to say nothing for ever is still asked for a sign of life.
        packet.keepalive = Math.min(packet.keepalive || MAX_KEEPALIVE, MAX_KEEPALIVE);
        done(null, true);
      },
      authenticate: (client, username, password, done) => {
        this.admit(client, username, password).then(
          (refusal) => (refusal === null ? done(null, true) : done(refused(refusal), false)),
          (error: unknown) => {
            this.log.error(`Nobody can be authenticated: ${messageOf(error)}`);
            done(refused(SERVER_UNAVAILABLE), false);
          },
        );
      },
      authorizePublish: (client, packet, done) => {
        if (!client) {
          done();
          return;
        }
        // A reading is an event, not a state: a kept copy would be delivered as news later.
        packet.retain = false;
        this.take(client, packet).then(
          () => done(),
          (error: unknown) => done(error instanceof Error ? error : new Error(messageOf(error))),
        );
      },
      authorizeSubscribe: (client, subscription, done) => {
        this.maySubscribe(client, subscription.topic).then(
          (may) => done(null, may ? subscription : null),
          (error: unknown) => done(error instanceof Error ? error : new Error(messageOf(error))),
        );
      },
      // Asked again: what waits in a session was sorted by what it asked for, not what it was granted.
      authorizeForward: (client, packet) => {
        const { topic } = packet;
        const filters = [...(this.granted.get(client) ?? [])];
        const may = !topic.startsWith('$') && filters.some((filter) => filterCovers(filter, topic));
        return may ? packet : null;
      },
    };
  }

  /** Null when the connection is admitted, else MQTT's return code. */
  private async admit(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<number | null> {
    const visitor = this.visitors.get(client);
    if (!visitor) return NOT_AUTHORIZED;
    const principal = await this.recognise(visitor, username, password);
    if (!principal) {
      this.tally.add('bad_log_in');
      // Whoever guesses waits for the answer.
      const address = visitor.socket.remoteAddress ?? '';
      const waitMillis = this.failures.take(address, performance.now());
      if (waitMillis > 0) await sleep(Math.min(waitMillis, MAX_WAIT_MILLIS));
      return BAD_USERNAME_OR_PASSWORD;
    }
    const clients = this.connections.get(principal.username) ?? new Set();
    if (clients.size >= MAX_CONNECTIONS_PER_USER) {
      this.tally.add('too_many_of_device');
      return NOT_AUTHORIZED;
    }
    this.connections.set(principal.username, clients.add(client));
    this.principals.set(client, principal);
    this.granted.set(client, new Set());
    this.limitSessions(client, principal.username);
    visitor.admit();
    // A connection that ends before it is established is never announced as disconnected.
    client.conn.once('close', () => this.forget(client));
    if (client.conn.destroyed) this.forget(client);
    return null;
  }

  /** By certificate where the door asks for one: it stands in place of the secret. */
  private async recognise(
    { certified }: Visitor,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<P | null> {
    if (certified === null) return this.options.authenticate(username, password);
    if (username !== undefined && username !== certified) return null;
    return (await this.options.identify?.(certified)) ?? null;
  }

  /** A user has so many sessions that are kept while it is away; any further ends with its connection. */
  private limitSessions(client: Client, username: string): void {
    const packet = this.asked.get(client);
    if (!packet) return;
    const kept = this.sessions.get(username) ?? new Set();
    if (packet.clean) kept.delete(client.id);
    else if (kept.has(client.id) || kept.size < MAX_SESSIONS_PER_USER) kept.add(client.id);
    else {
      packet.clean = true;
      (client as { clean: boolean }).clean = true;
    }
    if (kept.size > 0) this.sessions.set(username, kept);
    else this.sessions.delete(username);
  }

  private async take(client: Client, packet: TakenPacket): Promise<void> {
    const { topic, payload, qos, dup } = packet;
    const principal = this.principals.get(client);
    if (!principal) throw new Error('not authenticated');
    const { username } = principal;
    // Half a handshake of QoS 2 would have to be kept for whoever never sends the other half.
    if (qos === 2) throw this.refusal('unsupported_qos', `${username} publishes with QoS 2`);
    const may = topic.startsWith('$') ? false : await this.options.mayPublish(principal, topic);
    if (!may) {
      const what = `${username} may not publish to ${topic.slice(0, 200)}`;
      throw this.refusal('forbidden_topic', what);
    }
    await this.hold(username, topic);
    if (may === 'ignored') {
      // Acknowledged, and passed on to nobody: topics of this kind are not forwarded.
      packet.topic = IGNORED_TOPIC;
      return;
    }
    const taken = this.options.intake({
      topic,
      payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
      retained: false,
      username,
      ...(dup === true ? { mayRepeat: true } : {}),
    });
    const settled = taken.then(
      () => undefined,
      () => undefined,
    );
    this.underway.add(settled);
    try {
      await taken;
    } catch (error) {
      this.log.warn(`A message to ${topic} was not taken in: ${messageOf(error)}`);
      throw error;
    } finally {
      this.underway.delete(settled);
    }
  }

  /** Holds a message back that comes too fast; its connection is read no further meanwhile. */
  private async hold(username: string, topic: string): Promise<void> {
    const [root, , kind, meter] = topic.split('/');
    const isMeter = root === 'microgrids' && kind === 'meters';
    const key = isMeter ? `${username}/${meter}` : username;
    const waitMillis = this.rate.take(key, performance.now());
    if (waitMillis === 0) return;
    this.tally.add('too_many_messages');
    await sleep(Math.min(waitMillis, MAX_WAIT_MILLIS));
  }

  private async maySubscribe(client: Client, filter: string): Promise<boolean> {
    const principal = this.principals.get(client);
    const granted = this.granted.get(client);
    if (!principal || !granted) return false;
    if (!granted.has(filter) && granted.size >= MAX_SUBSCRIPTIONS) {
      this.tally.add('too_many_subscriptions');
      return false;
    }
    const may =
      !filter.startsWith('$') &&
      filter.length <= MAX_FILTER_LENGTH &&
      (await this.options.maySubscribe(principal, filter));
    if (may) granted.add(filter);
    else this.tally.add('forbidden_filter');
    return may;
  }

  /** Cuts off who is connected and has no access any more, also those that only listen. */
  private async endAccess(): Promise<void> {
    const clients = [...this.connections.values()].flatMap((some) => [...some]);
    const principals = clients.map((client) => this.principals.get(client)!);
    if (principals.length === 0) return;
    try {
      const ended = new Set((await this.options.ended?.(principals)) ?? []);
      for (const [place, client] of clients.entries()) {
        if (!ended.has(principals[place]!)) continue;
        this.tally.add('access_ended');
        cutOff(client);
      }
    } catch (error) {
      this.log.warn(`Who is connected was not looked at again: ${messageOf(error)}`);
    }
  }

  private forget(client: Client): void {
    const username = this.principals.get(client)?.username;
    const clients = username === undefined ? undefined : this.connections.get(username);
    if (username === undefined || !clients) return;
    clients.delete(client);
    if (clients.size === 0) this.connections.delete(username);
  }

  private accept(visitor: Visitor): void {
    const { broker } = this;
    if (!broker) {
      visitor.socket.destroy();
      return;
    }
    const client = broker.handle(visitor.socket as Socket);
    this.visitors.set(client, visitor);
    const mostBytes = this.settings.mqttMaxPayloadBytes + PACKET_OVERHEAD_BYTES;
    guardPackets(client, mostBytes, (reason) => this.tally.add(reason));
  }

  private refusal(reason: BrokerRefusal, what: string): Error {
    this.tally.add(reason);
    return new Error(what);
  }

  /** Counts what aedes has ended a connection for; every message that waits for it says so again. */
  private note(error: Error, client: Client): void {
    if (this.noted.has(client)) return;
    this.noted.add(client);
    const reason = refusalOf(error.message);
    if (reason) this.tally.add(reason);
    this.log.debug(`${client.id ?? 'somebody'}: ${error.message}`);
  }
}

export type BrokerSettings = DoorSettings &
  Pick<
    Settings,
    | 'mqttMaxPayloadBytes'
    | 'mqttMaxMessagesPerSecond'
    | 'mqttConnectTimeoutSeconds'
    | 'mqttUrl'
    | 'mqttUsername'
    | 'mqttPassword'
    | 'mqttClientId'
    | 'mqttMaxInFlight'
  >;

interface TakenPacket {
  topic: string;
  payload: string | Buffer;
  qos: number;
  dup?: boolean;
}

function refused(returnCode: number): Error & { returnCode: number } {
  return Object.assign(new Error(`connection refused (${returnCode})`), { returnCode });
}

/** As after a proper farewell: who has no access any more has no last word (its will) either. */
function cutOff(client: Client): void {
  (client as unknown as { _disconnected: boolean })._disconnected = true;
  client.close();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const LIMITS: AedesOptions = {
  // A client that does not read for so long is dropped, so that it stalls nobody else.
  drainTimeout: 20_000,
  maxTopicLevels: 16,
  maxClientsIdLength: 256,
};

const IGNORED_TOPIC = '$ignored';

const MAX_CONNECTIONS_PER_USER = 32;
const MAX_SESSIONS_PER_USER = 8;
const MAX_SUBSCRIPTIONS = 100;
const MAX_QUEUED_PER_CLIENT = 1_000;
const MAX_FILTER_LENGTH = 512;
const PACKET_OVERHEAD_BYTES = 1_024;
/** Seconds; a connection that is silent for half as much again ends. */
const MAX_KEEPALIVE = 3_600;
const BURST_SECONDS = 2;
const MAX_METERS = 100_000;
const MAX_ADDRESSES = 10_000;
const FAILURES_PER_SECOND = 5;
const MAX_WAIT_MILLIS = 10_000;
const SWEEP_MILLIS = 3_000;

// MQTT 3.1.1, table 3.1.
const SERVER_UNAVAILABLE = 3;
const BAD_USERNAME_OR_PASSWORD = 4;
const NOT_AUTHORIZED = 5;
