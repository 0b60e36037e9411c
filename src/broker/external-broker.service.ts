import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { connect, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt';
import {
  BrokerProblem,
  type BrokerLink,
  type BrokerOptions,
  type Followed,
} from './broker-link.js';
import type { BrokerSettings } from './embedded-broker.service.js';
import { READINGS_FILTER } from './topics.js';

/**
 * The service as a client of somebody else's broker, over MQTT 5. The broker keeps its session while
 * it is away. Many messages are taken in at once, and each is acknowledged only when its `intake`
 * has resolved; when one rejects, the connection is made anew, and the broker sends it again.
 */
export class ExternalBroker implements BrokerLink {
  readonly port = 0;
  readonly tlsPort = 0;
  private readonly log = new Logger('Broker');
  private readonly underway = new Set<Promise<void>>();
  private readonly waitingForRoom: (() => void)[] = [];
  private readonly outbox: Outbox;
  private client: MqttClient | undefined;
  private subscribed = false;
  /** What is to be heard besides readings, by filter; and what the broker granted of it. */
  private wanted = new Map<string, 0 | 1>();
  private granted = new Map<string, 0 | 1>();
  private refusalTold = false;
  private heldBytes = 0;
  /** Connections in a row on which a message was not taken in, and the last of them. */
  private failures = 0;
  private leaving: MqttInternals['stream'] | undefined;

  constructor(
    private readonly settings: BrokerSettings,
    private readonly options: Pick<BrokerOptions, 'intake'>,
  ) {
    this.outbox = new Outbox(MAX_OUTBOX);
  }

  /**
   * Resolves when readings arrive, or after some seconds while the broker is away: it is then tried
   * again for ever, and `connected` says how it stands.
   * @throws BrokerProblem when the broker refuses the log-in or the subscription
   */
  async start(): Promise<void> {
    const { mqttUrl, mqttUsername, mqttPassword, mqttClientId, mqttMaxInFlight } = this.settings;
    if (mqttUrl === undefined) throw new Error('There is no MQTT_URL.');
    const client = connect(mqttUrl, {
      protocolVersion: 5,
      clientId: mqttClientId,
      ...(mqttUsername === undefined ? {} : { username: mqttUsername }),
      ...(mqttPassword === undefined ? {} : { password: mqttPassword }),
      clean: false,
      keepalive: 30,
      connectTimeout: 10_000,
      reconnectPeriod: 1_000,
      reconnectOnConnackError: true,
      // The subscription is renewed here at every connection, and its answer is looked at.
      resubscribe: false,
      properties: {
        // How many messages the broker may send ahead of our acknowledgements.
        receiveMaximum: mqttMaxInFlight,
        sessionExpiryInterval: SESSION_SECONDS,
        maximumPacketSize: this.settings.mqttMaxPayloadBytes + PACKET_OVERHEAD_BYTES,
      },
    });
    this.client = client;
    this.holdAcknowledgements(client);
    client.on('close', () => {
      this.subscribed = false;
      this.outbox.pause();
    });
    await this.firstSubscription(client, mqttUrl);
  }

  async publish(topic: string, payload: string | Buffer): Promise<void> {
    const { client } = this;
    if (!client) throw new Error('The broker is not in use.');
    await this.outbox.send(() => client.publishAsync(topic, payload, { qos: 1 }));
  }

  async follow(filters: readonly Followed[]): Promise<void> {
    this.wanted = new Map(filters.map(({ filter, qos }) => [filter, qos]));
    const { client } = this;
    if (client && this.subscribed) await this.followWanted(client);
  }

  connected(): boolean {
    return this.subscribed;
  }

  /** Whom it refuses is the broker's own affair. */
  refusals(): Record<string, number> {
    return {};
  }

  /** Its users are the broker's own. */
  disconnect(): void {}

  async stop(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    if (!client) return;
    const patience = new AbortController();
    await Promise.race([
      Promise.allSettled([...this.underway, this.outbox.idle()]),
      sleep(STOP_PATIENCE_MILLIS, undefined, { signal: patience.signal }).catch(() => undefined),
    ]);
    patience.abort();
    await client.endAsync(!client.connected);
  }

  /**
   * mqtt.js acknowledges a message before it looks at the next one. Here it is told at once that all
   * is done, its acknowledgement is swallowed, and ours is sent when the message is taken in.
   */
  private holdAcknowledgements(client: MqttClient): void {
    const internals = client as unknown as MqttInternals;
    const sendPacket = internals._sendPacket.bind(client);
    internals._sendPacket = (packet, done, ...rest) => {
      if (packet.cmd === 'puback' && packet.held !== false) done?.();
      else sendPacket(packet, done, ...rest);
    };
    client.handleMessage = (packet, done) => {
      const { stream } = internals;
      const bytes = packet.payload.length;
      this.heldBytes += bytes;
      const task = this.take(packet).then(
        () => {
          this.failures = 0;
          // An acknowledgement belongs to its connection; on a new one the message comes again.
          if (packet.qos === 0 || internals.stream !== stream || !client.connected) return;
          sendPacket({ cmd: 'puback', messageId: packet.messageId, reasonCode: 0, held: false });
        },
        async (error: unknown) => {
          this.log.warn(`A message to ${packet.topic} was not taken in: ${messageOf(error)}`);
          if (internals.stream !== stream || this.leaving === stream) return;
          // Only a new connection makes the broker send it again; not faster than intake recovers.
          this.leaving = stream;
          this.failures += 1;
          await sleep(Math.min(100 * 2 ** this.failures, 10_000), undefined, { ref: false });
          if (internals.stream === stream) stream.destroy();
        },
      );
      this.underway.add(task);
      void task.finally(() => {
        this.underway.delete(task);
        this.heldBytes -= bytes;
        if (this.hasRoom()) for (const goOn of this.waitingForRoom.splice(0)) goOn();
      });
      // The broker is read no further until there is room: it agreed to a number, not to a size.
      if (this.hasRoom()) done();
      else this.waitingForRoom.push(() => done());
    };
  }

  private hasRoom(): boolean {
    const { mqttMaxInFlight } = this.settings;
    return this.underway.size < mqttMaxInFlight && this.heldBytes < MAX_HELD_BYTES;
  }

  private async take({ topic, payload, retain }: IPublishPacket): Promise<void> {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    // Every instance hears every message, and again after a connection was lost.
    await this.options.intake({ topic, payload: bytes, retained: retain, mayRepeat: true });
  }

  private firstSubscription(client: MqttClient, url: string): Promise<void> {
    return new Promise((resolve, reject) => {
      let first = true;
      const settle = (problem?: BrokerProblem): void => {
        if (problem) this.log.error(problem.message);
        if (!first) return;
        first = false;
        clearTimeout(patience);
        if (!problem) resolve();
        else void client.endAsync(true).then(() => reject(problem));
      };
      const patience = setTimeout(() => {
        this.log.warn(`The MQTT broker at ${hostOf(url)} does not answer; trying on.`);
        settle();
      }, START_PATIENCE_MILLIS);
      client.on('connect', (connack) => {
        this.subscribe(client, connack).then(
          () => settle(),
          (error: unknown) => {
            if (error instanceof BrokerProblem) settle(error);
            else this.log.warn(`The subscription failed: ${messageOf(error)}`);
          },
        );
      });
      client.on('error', (error) => {
        const code = 'code' in error ? error.code : undefined;
        if (typeof code === 'number' && REFUSALS.has(code)) {
          settle(
            new BrokerProblem(
              `The MQTT broker at ${hostOf(url)} refuses the service (${error.message}): set MQTT_USERNAME and MQTT_PASSWORD to a user that may read ${READINGS_FILTER}.`,
            ),
          );
        } else {
          this.log.debug(`${hostOf(url)}: ${error.message}`);
        }
      });
    });
  }

  private async subscribe(client: MqttClient, connack: IConnackPacket): Promise<void> {
    // rh 1: what the broker keeps is sent to a new session only.
    const granted = await client.subscribeAsync(READINGS_FILTER, { qos: 1, rh: 1 });
    if (granted.some(({ qos }) => qos !== 1)) {
      throw new BrokerProblem(
        `The MQTT broker does not grant QoS 1 on ${READINGS_FILTER}: allow its user to read that.`,
      );
    }
    this.granted.clear();
    await this.followWanted(client);
    this.subscribed = true;
    this.outbox.resume(Math.min(connack.properties?.receiveMaximum ?? 65_535, MAX_SENDING));
    this.log.log(
      `Connected to the MQTT broker${connack.sessionPresent ? ', which kept our session' : ''}`,
    );
  }

  /** Brings the subscriptions for devices up to date; what the broker does not grant is tried again. */
  private async followWanted(client: MqttClient): Promise<void> {
    const gone = [...this.granted.keys()].filter((filter) => !this.wanted.has(filter));
    for (const batch of batches(gone)) {
      await client.unsubscribeAsync(batch);
      for (const filter of batch) this.granted.delete(filter);
    }
    const missing = [...this.wanted].filter(([filter, qos]) => this.granted.get(filter) !== qos);
    const refused: string[] = [];
    for (const batch of batches(missing)) refused.push(...(await this.subscribeAll(client, batch)));
    if (refused.length > 0 && !this.refusalTold) {
      this.log.warn(
        `The MQTT broker does not let us hear ${refused.length} devices, e.g. on ${refused[0]!}: write its ACL file again with npm run operator -- mosquitto, and reload it.`,
      );
    }
    this.refusalTold = refused.length > 0;
  }

  /** One refusal fails the whole packet, so it is halved until it is known which. @returns the refused */
  private async subscribeAll(
    client: MqttClient,
    batch: readonly (readonly [string, 0 | 1])[],
  ): Promise<string[]> {
    try {
      // rh 0: a device's kept names and units are wanted again; its kept readings are refused.
      const map = Object.fromEntries(batch.map(([filter, qos]) => [filter, { qos, rh: 0 }]));
      await client.subscribeAsync(map);
      for (const [filter, qos] of batch) this.granted.set(filter, qos);
      return [];
    } catch (error) {
      if (!client.connected) throw error;
      if (batch.length === 1) return [batch[0]![0]];
      const half = batch.length >> 1;
      return [
        ...(await this.subscribeAll(client, batch.slice(0, half))),
        ...(await this.subscribeAll(client, batch.slice(half))),
      ];
    }
  }
}

function batches<T>(all: readonly T[]): T[][] {
  const count = Math.ceil(all.length / MAX_FILTERS);
  return Array.from({ length: count }, (_, at) =>
    all.slice(at * MAX_FILTERS, (at + 1) * MAX_FILTERS),
  );
}

/** Messages on their way out: no more at once than the broker takes, and not without bound. */
class Outbox {
  private readonly waiting: (() => void)[] = [];
  private readonly whenIdle: (() => void)[] = [];
  private sending = 0;
  private room = 0;

  constructor(private readonly most: number) {}

  async send(deliver: () => Promise<unknown>): Promise<void> {
    if (this.waiting.length >= this.most) {
      throw new Error('The MQTT broker takes no messages and too many wait for it.');
    }
    if (this.sending >= this.room || this.waiting.length > 0) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    } else {
      this.sending += 1;
    }
    try {
      await deliver();
    } finally {
      this.sending -= 1;
      this.admit();
      if (this.sending === 0) for (const tell of this.whenIdle.splice(0)) tell();
    }
  }

  pause(): void {
    this.room = 0;
  }

  resume(room: number): void {
    this.room = room;
    this.admit();
  }

  async idle(): Promise<void> {
    if (this.sending > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
  }

  private admit(): void {
    while (this.sending < this.room) {
      const next = this.waiting.shift();
      if (!next) return;
      this.sending += 1;
      next();
    }
  }
}

/** The parts of mqtt.js that are not in its types. */
interface MqttInternals {
  stream: { destroy(): void };
  _sendPacket(
    packet: { cmd: string; messageId?: number | undefined; reasonCode?: number; held?: false },
    done?: () => void,
    ...rest: unknown[]
  ): void;
}

function hostOf(url: string): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// A month: longer than any outage after which readings would still be wanted.
const SESSION_SECONDS = 30 * 86_400;
const START_PATIENCE_MILLIS = 10_000;
const STOP_PATIENCE_MILLIS = 10_000;
const PACKET_OVERHEAD_BYTES = 1_024;
const MAX_HELD_BYTES = 32 * 1024 * 1024;
const MAX_OUTBOX = 100_000;
const MAX_SENDING = 100;
/** Topic filters of one SUBSCRIBE. */
const MAX_FILTERS = 100;

// Reason codes of MQTT 5, table 3-1, that trying again does not change, and those of 3.1.1.
const REFUSALS = new Set([1, 2, 4, 5, 132, 133, 134, 135, 138, 140]);
