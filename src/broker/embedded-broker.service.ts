import { createServer, type Server, type Socket } from 'node:net';
import { Logger } from '@nestjs/common';
import { Aedes, type AedesOptions, type Client } from 'aedes';
import type { Settings } from '../config.js';
import {
  BrokerProblem,
  type BrokerLink,
  type BrokerOptions,
  type Principal,
} from './broker-link.js';
import { capQueues } from './embedded-queues.service.js';

/**
 * An MQTT 3.1.1 broker inside the service. A reading is acknowledged when `intake` has resolved; when
 * it rejects, the connection is dropped, so that the meter sends the reading again.
 */
export class EmbeddedBroker<P extends Principal> implements BrokerLink {
  private readonly log = new Logger('Broker');
  private readonly principals = new WeakMap<Client, P>();
  private readonly connections = new Map<string, Set<Client>>();
  private readonly underway = new Set<Promise<void>>();
  private readonly sockets = new Set<Socket>();
  private broker: Aedes | undefined;
  private server: Server | undefined;

  constructor(
    private readonly settings: BrokerSettings,
    private readonly options: BrokerOptions<P>,
  ) {}

  async start(): Promise<void> {
    const broker = await Aedes.createBroker({ ...LIMITS, ...this.hooks() });
    capQueues(broker, MAX_QUEUED_PER_CLIENT);
    broker.on('clientDisconnect', (client) => this.forget(client));
    broker.on('clientError', (client, error) => {
      this.log.debug(`${client.id}: ${error.message}`);
    });
    broker.on('connectionError', (_client, error) => this.log.debug(error.message));
    // Small reads: what one connection has sent and not yet had acknowledged is held in memory.
    const server = createServer({ highWaterMark: 16_384, keepAlive: true, noDelay: true });
    server.on('connection', (socket) => this.accept(broker, socket));
    server.maxConnections = this.settings.mqttMaxConnections;
    this.broker = broker;
    this.server = server;
    try {
      await this.listen(server);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  get port(): number {
    const address = this.server?.address();
    return typeof address === 'object' && address ? address.port : 0;
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
    return this.server?.listening === true;
  }

  disconnect(username: string): void {
    for (const client of this.connections.get(username) ?? []) client.close();
  }

  async stop(): Promise<void> {
    const { server, broker } = this;
    this.server = undefined;
    this.broker = undefined;
    server?.close();
    await Promise.allSettled(this.underway);
    // What was taken in is acknowledged in the same turn that intake resolves; let it reach the wire.
    await new Promise((resolve) => setImmediate(resolve));
    if (broker) await new Promise<void>((resolve) => broker.close(resolve));
    // Those that had not logged in yet.
    for (const socket of this.sockets) socket.destroy();
  }

  private hooks(): AedesOptions {
    return {
      preConnect: (_client, packet, done) => {
        // A client id is a name within its user: nobody else's session can be taken over with it.
        if (packet.clientId) packet.clientId = `${packet.username ?? ''}/${packet.clientId}`;
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
        this.take(client, packet.topic, packet.payload).then(
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
      authorizeForward: (_client, packet) => (packet.topic.startsWith('$') ? null : packet),
    };
  }

  /** Null when the connection is admitted, else MQTT's return code. */
  private async admit(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<number | null> {
    const principal = await this.options.authenticate(username, password);
    if (!principal) return BAD_USERNAME_OR_PASSWORD;
    const clients = this.connections.get(principal.username) ?? new Set();
    if (clients.size >= MAX_CONNECTIONS_PER_USER) return NOT_AUTHORIZED;
    this.connections.set(principal.username, clients.add(client));
    this.principals.set(client, principal);
    // A connection that ends before it is established is never announced as disconnected.
    client.conn.once('close', () => this.forget(client));
    if (client.conn.destroyed) this.forget(client);
    return null;
  }

  private async take(client: Client, topic: string, payload: string | Buffer): Promise<void> {
    const principal = this.principals.get(client);
    if (!principal) throw new Error('not authenticated');
    const may = topic.startsWith('$') ? false : await this.options.mayPublish(principal, topic);
    if (may === 'ignored') return;
    if (!may) {
      throw new Error(`${principal.username} may not publish to ${topic.slice(0, 200)}`);
    }
    const taken = this.options.intake({
      topic,
      payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
      retained: false,
      username: principal.username,
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

  private async maySubscribe(client: Client, filter: string): Promise<boolean> {
    const principal = this.principals.get(client);
    if (!principal || filter.startsWith('$') || filter.length > MAX_FILTER_LENGTH) return false;
    return this.options.maySubscribe(principal, filter);
  }

  private forget(client: Client): void {
    const username = this.principals.get(client)?.username;
    const clients = username === undefined ? undefined : this.connections.get(username);
    if (username === undefined || !clients) return;
    clients.delete(client);
    if (clients.size === 0) this.connections.delete(username);
  }

  private accept(broker: Aedes, socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    limitPackets(broker.handle(socket), this.settings.mqttMaxPayloadBytes + PACKET_OVERHEAD_BYTES);
  }

  private async listen(server: Server): Promise<void> {
    const { mqttHost: host, mqttPort: port } = this.settings;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new BrokerProblem(whyNot(error, host, port)));
      });
      server.listen({ host, port, exclusive: true }, resolve);
    });
    server.on('error', (error) => this.log.error(error.message));
    this.log.log(`MQTT broker listens on ${host}:${this.port}`);
  }
}

export type BrokerSettings = Pick<
  Settings,
  | 'mqttHost'
  | 'mqttPort'
  | 'mqttMaxPayloadBytes'
  | 'mqttMaxConnections'
  | 'mqttUrl'
  | 'mqttUsername'
  | 'mqttPassword'
  | 'mqttClientId'
  | 'mqttMaxInFlight'
>;

/** Refuses a packet by its announced length, before its bytes are collected. */
function limitPackets(client: Client, mostBytes: number): void {
  const { _parser: parser } = client as unknown as { _parser: PacketParser };
  const parseLength = parser._parseLength;
  parser._parseLength = function limited(this: PacketParser): boolean {
    const complete = parseLength.call(this);
    if (complete && this.packet.length > mostBytes) {
      client.conn.destroy(new Error(`a packet of ${this.packet.length} bytes is too large`));
      // Parsing stops here: the bytes that follow belong to the refused packet.
      return false;
    }
    return complete;
  };
}

interface PacketParser {
  readonly packet: { readonly length: number };
  _parseLength(): boolean;
}

function refused(returnCode: number): Error & { returnCode: number } {
  return Object.assign(new Error(`connection refused (${returnCode})`), { returnCode });
}

function whyNot(error: NodeJS.ErrnoException, host: string, port: number): string {
  if (error.code === 'EADDRINUSE') {
    return `Port ${port} on ${host}, for MQTT, is in use by another program: set MQTT_PORT to a free port, or MQTT_URL to use the broker that is there.`;
  }
  if (error.code === 'EACCES') {
    return `Port ${port}, for MQTT, may not be opened by this user: set MQTT_PORT to one above 1023.`;
  }
  return `The MQTT broker cannot listen on ${host}:${port} (${error.message}): set MQTT_HOST and MQTT_PORT.`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const LIMITS: AedesOptions = {
  connectTimeout: 10_000,
  // A client that does not read for so long is dropped, so that it stalls nobody else.
  drainTimeout: 20_000,
  maxInflightInbound: 100,
  maxTopicLevels: 16,
  maxClientsIdLength: 256,
};

const MAX_CONNECTIONS_PER_USER = 32;
const MAX_QUEUED_PER_CLIENT = 1_000;
const MAX_FILTER_LENGTH = 512;
const PACKET_OVERHEAD_BYTES = 1_024;

// MQTT 3.1.1, table 3.1.
const SERVER_UNAVAILABLE = 3;
const BAD_USERNAME_OR_PASSWORD = 4;
const NOT_AUTHORIZED = 5;
