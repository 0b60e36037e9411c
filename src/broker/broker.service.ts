import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { SETTINGS } from '../config.js';
import type { BrokerLink, BrokerOptions, Followed, Principal } from './broker-link.js';
import { EmbeddedBroker, type BrokerSettings } from './embedded-broker.service.js';
import { ExternalBroker } from './external-broker.service.js';

export type { BrokerOptions, IncomingMessage, Principal } from './broker-link.js';
export { BrokerProblem } from './broker-link.js';

/**
 * The door to MQTT: the embedded broker, or a client of the one that `MQTT_URL` names. Either way a
 * message is acknowledged to whoever sent it only after `intake` has resolved.
 */
@Injectable()
export class BrokerService implements BeforeApplicationShutdown {
  private link: BrokerLink | undefined;
  private followed: readonly Followed[] = [];

  constructor(@Inject(SETTINGS) private readonly settings: BrokerSettings) {}

  /** @throws BrokerProblem saying in one line what is in the way and what to do */
  async start<P extends Principal>(options: BrokerOptions<P>): Promise<void> {
    if (this.link) throw new Error('The broker has been started already.');
    const link =
      this.settings.mqttUrl === undefined
        ? new EmbeddedBroker(this.settings, options)
        : new ExternalBroker(this.settings, options);
    await link.start();
    this.link = link;
    await link.follow(this.followed);
  }

  /** Publishes with QoS 1, not retained; resolves when the broker has the message. */
  async publish(topic: string, payload: string | Buffer): Promise<void> {
    if (!this.link) throw new Error('The broker has not been started.');
    await this.link.publish(topic, payload);
  }

  /**
   * Has messages on these topics taken in from now on, and none on those of the last call that are
   * no longer among them. The embedded broker brings whatever its clients may publish anyway.
   */
  async follow(filters: readonly Followed[]): Promise<void> {
    this.followed = filters;
    await this.link?.follow(filters);
  }

  /** Whether messages arrive at present. */
  connected(): boolean {
    return this.link?.connected() ?? false;
  }

  /** The port of the embedded broker; 0 when it is external or not started. */
  get port(): number {
    return this.link?.port ?? 0;
  }

  /** The port of its listener with TLS; 0 when there is none. */
  get tlsPort(): number {
    return this.link?.tlsPort ?? 0;
  }

  /** Whom the embedded broker refused, cut off or held back since the start, by reason. */
  refusals(): Readonly<Record<string, number>> {
    return this.link?.refusals() ?? {};
  }

  /** Ends the connections of a user of the embedded broker, e.g. when its secret is revoked. */
  disconnect(username: string): void {
    this.link?.disconnect(username);
  }

  /** Waits for messages being taken in to be acknowledged, then ends. Idempotent. */
  async stop(): Promise<void> {
    const { link } = this;
    this.link = undefined;
    await link?.stop();
  }

  /** Before the database closes: what is being taken in still has to be committed. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.stop();
  }
}
