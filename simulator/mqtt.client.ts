import { randomBytes } from 'node:crypto';
import mqtt, { type MqttClient } from 'mqtt';

export interface Message {
  topic: string;
  payload: string;
}

/**
 * Readings over MQTT, at QoS 1: several connections under one name, and `publishAll`, which returns
 * once the service has acknowledged, that is committed, every message.
 */
export class ReadingPublisher {
  #clients: MqttClient[] = [];
  #next = 0;
  reconnects = 0;

  private constructor(private readonly username: string) {}

  /**
   * @param options.url asked for at every attempt: a restarted service may listen on another port
   * @param options.patient keep trying when the first connection fails, as devices do
   */
  static async connect(options: {
    url: () => string;
    username: string;
    password: string;
    connections: number;
    patient: boolean;
    onTrouble?: (message: string) => void;
  }): Promise<ReadingPublisher> {
    const publisher = new ReadingPublisher(options.username);
    try {
      await Promise.all(
        Array.from({ length: options.connections }, () => publisher.#open(options)),
      );
    } catch (error) {
      await publisher.close();
      throw error;
    }
    return publisher;
  }

  /**
   * Publishes in this order, spread over the connections; resolves when all are acknowledged. Messages
   * that a lost connection left unacknowledged are sent again after reconnecting.
   * @throws Error when something is still unacknowledged after the timeout, if there is one
   */
  async publishAll(messages: readonly Message[], timeoutMillis?: number): Promise<void> {
    const sent = Promise.all(
      messages.map(({ topic, payload }) => this.#pick().publishAsync(topic, payload, { qos: 1 })),
    );
    if (timeoutMillis === undefined) return void (await sent);
    // A rejection after the timeout has been reported must not surface as unhandled.
    sent.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new Error(
              `${this.username}: not all of ${messages.length} messages were acknowledged within ${timeoutMillis / 1000} s`,
            ),
          ),
        timeoutMillis,
      );
    });
    try {
      await Promise.race([sent, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.endAsync(true).catch(() => undefined)));
  }

  #pick(): MqttClient {
    this.#next = (this.#next + 1) % this.#clients.length;
    return this.#clients[this.#next]!;
  }

  async #open(options: Parameters<typeof ReadingPublisher.connect>[0]): Promise<void> {
    const client = mqtt.connect(options.url(), {
      clientId: `${options.username}-${randomBytes(6).toString('hex')}`,
      username: options.username,
      password: options.password,
      // The embedded broker speaks MQTT 3.1.1.
      protocolVersion: 4,
      clean: true,
      keepalive: 30,
      connectTimeout: 10_000,
      // A service whose database is away refuses everybody, for a while.
      reconnectOnConnackError: true,
      // Spread, so that a street of meters does not come back in one instant.
      reconnectPeriod: 1_000 + Math.floor(Math.random() * 1_000),
    });
    this.#clients.push(client);
    let connected = false;
    client.on('reconnect', () => {
      const { hostname, port } = new URL(options.url());
      Object.assign(client.options, { host: hostname, hostname, port: Number(port) });
    });
    client.on('connect', () => {
      if (connected) this.reconnects += 1;
      connected = true;
    });
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.on('error', (error) => {
        // A broker that is away is one trouble, however many meters wait for it.
        const who = isRefusal(error) ? `${options.username} is refused` : 'waiting for the broker';
        options.onTrouble?.(`${who}: ${error.message}`);
        // Wrong credentials do not get better by waiting.
        if (!connected && (!options.patient || 'code' in error === false || isRefusal(error))) {
          reject(error);
        }
      });
    });
  }
}

/** CONNACK return codes 4 and 5 of MQTT 3.1.1: bad user name or password, not authorized. */
function isRefusal(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return code === 4 || code === 5;
}
