import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import type { OnApplicationBootstrap, OnModuleDestroy } from '@nestjs/common';
import type { IncomingMessage } from '../broker/broker-link.js';
import { BrokerService } from '../broker/broker.service.js';
import { parseReadingsTopic } from '../broker/topics.js';
import { DatabaseService } from '../database/database.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { MeterProfileService } from '../parties/meter-profile.service.js';
import { parseInstant } from '../units/slot.js';
import { decodedReadings, lastPower } from './device-readings.js';
import type { ToldPower } from './device-readings.js';
import { DeviceWatches } from './device-watch.js';
import type { HeardMessage } from './device-watch.js';
import { DeviceRoutes, routeOf } from './device-routes.js';
import type { DeviceRoute } from './device-routes.js';
import { IntakeService } from './intake.service.js';
import type { OpenedMessage } from './intake-verdict.js';
import type { Listened, MeterReport } from './meter-test.js';
import { PROFILES } from './profiles/profile.js';
import type { ProfileOutput, ProfilePublication, ProfileSession } from './profiles/profile.js';

/** A device that is being listened to, and what its session remembers. */
interface Listening {
  signature: string;
  session: ProfileSession;
  told: ToldPower | null;
}

/**
 * Brings the messages of every device to its meter: native ones straight to intake, all others
 * through the session of their meter's profile. Sessions are in memory: after a restart each begins
 * anew with its device's next full message, and every instance keeps its own of what it hears.
 */
@Injectable()
export class DeviceIntakeService implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger('devices');
  private routes = new DeviceRoutes([]);
  private readonly listening = new Map<string, Listening>();
  private readonly watches = new DeviceWatches();
  /** When something was last published on a device's topic of commands. */
  private readonly asked = new Map<string, number>();
  /** When the devices in use were last begun to be read. */
  private readMillis = 0;
  private refreshing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  /** Messages of devices are opened one after the other, in the order they came. */
  private line: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly profiles: MeterProfileService,
    private readonly incoming: IntakeService,
    private readonly broker: BrokerService,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    await this.turn();
  }

  onModuleDestroy(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /**
   * Resolves when the message is durably kept, or is none that concerns a meter; rejects when the
   * database failed and it must come again.
   */
  async intake(message: IncomingMessage): Promise<void> {
    if (isNative(message.topic)) {
      if (!this.watches.idle) await this.watchNative(message);
      return this.incoming.intake(message);
    }
    const arrivedMillis = performance.now();
    const opened = this.line.then(() => this.open(message, arrivedMillis));
    this.line = opened.catch(() => undefined);
    await Promise.all((await opened).map((each) => this.incoming.keep(each)));
  }

  /** Reads the devices in use again, so that one set up just now is heard. */
  async refresh(): Promise<void> {
    this.refreshing ??= this.readRoutes().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  /** What was heard of a meter since somebody first asked; asking makes this instance listen. */
  watch(
    meterId: string,
    listened: Omit<Listened, 'seconds'>,
  ): { since: string; report: MeterReport; messages: readonly HeardMessage[] } {
    return this.watches.watch(meterId, listened, Date.now());
  }

  /** Another profile holds for the meter: what was heard by the old one is forgotten. */
  async changed(meterId: string): Promise<void> {
    await this.refresh();
    this.watches.forget(meterId);
  }

  private async watchNative({ topic, payload, retained }: IncomingMessage): Promise<void> {
    const meterId = parseReadingsTopic(topic)?.meterId;
    if (meterId === undefined || !this.watches.isWatched(meterId)) return;
    const receivedAtMillis = parseInstant(await this.clock.now());
    const message = { topic, payload, retained, receivedAtMillis };
    const session = PROFILES.native.open({ mapping: {}, timeZone: 'UTC' });
    this.watches.heard(meterId, message, session.take(message));
  }

  /** What the message says for each meter it speaks for; empty where there is nothing to keep. */
  private async open(message: IncomingMessage, arrivedMillis: number): Promise<OpenedMessage[]> {
    const routes = await this.routesOf(message.topic, arrivedMillis);
    if (routes.length === 0) {
      this.incoming.count('unrouted', 1);
      return [];
    }
    const receivedAtMillis = parseInstant(await this.clock.now());
    return routes.flatMap((route) => {
      const { listening, output } = this.hear(route, message, receivedAtMillis);
      if (output.publish) this.publish(route, output.publish, receivedAtMillis);
      const readings = decodedReadings(output.readings, listening.told);
      listening.told = lastPower(output.readings, listening.told);
      if (readings.length === 0 && output.rejections.length === 0) return [];
      const { microgridId, meterId } = route;
      const { topic, payload, mayRepeat = false } = message;
      const { rejections, signed = null } = output;
      return { topic, payload, microgridId, meterId, readings, rejections, signed, mayRepeat };
    });
  }

  private hear(
    route: DeviceRoute,
    { topic, payload, retained }: IncomingMessage,
    receivedAtMillis: number,
  ): { listening: Listening; output: ProfileOutput } {
    const message = { topic, payload, retained, receivedAtMillis };
    const known = this.listening.get(route.meterId);
    const listening = known?.signature === route.signature ? known : listen(route);
    this.listening.set(route.meterId, listening);
    try {
      const output = listening.session.take(message);
      this.watches.heard(route.meterId, message, output);
      return { listening, output };
    } catch (error) {
      // Whatever a payload does to a profile, it is the payload's fault; what is remembered goes.
      this.log.error(`${route.profile.name} at ${route.meterId}: ${String(error)}`);
      this.listening.delete(route.meterId);
      const rejections = [{ reason: 'malformed' as const, detail: 'not readable' }];
      return { listening, output: { readings: [], rejections } };
    }
  }

  /** What several meters' sessions would ask of one device, such as an edge node, is asked once. */
  private publish(
    { meterId }: DeviceRoute,
    publications: readonly ProfilePublication[],
    atMillis: number,
  ): void {
    for (const { topic, payload } of publications) {
      const askedMillis = this.asked.get(topic);
      if (askedMillis !== undefined && Math.abs(atMillis - askedMillis) < ASK_MILLIS) continue;
      if (this.asked.size >= MOST_ASKED) this.asked.clear();
      this.asked.set(topic, atMillis);
      this.broker.publish(topic, payload).catch((error: unknown) => {
        this.log.warn(`What ${meterId}'s device is asked for was not sent: ${String(error)}`);
      });
    }
  }

  /** A topic of no device may be that of one enrolled just now: the devices are read again first. */
  private async routesOf(topic: string, arrivedMillis: number): Promise<DeviceRoute[]> {
    if (!this.routes.knows(topic) && this.readMillis <= arrivedMillis) {
      const pauseMillis = this.readMillis + MISS_MILLIS - performance.now();
      if (pauseMillis > 0) await sleep(pauseMillis);
      await this.refresh();
    }
    return this.routes.find(topic);
  }

  private async turn(): Promise<void> {
    const startedMillis = Date.now();
    await this.refresh().catch((error: unknown) => this.log.warn(String(error)));
    const tookMillis = Date.now() - startedMillis;
    if (this.stopped) return;
    // A hundred thousand devices take their time to read: at most a twentieth of it goes there.
    const pause = Math.max(REFRESH_MILLIS, 20 * tookMillis);
    this.timer = setTimeout(() => void this.turn(), pause);
  }

  private async readRoutes(): Promise<void> {
    const begunMillis = performance.now();
    const devices = await this.profiles.all(this.database);
    this.routes = new DeviceRoutes(devices.map(routeOf));
    this.readMillis = begunMillis;
    const present = new Map(this.routes.all.map((route) => [route.meterId, route.signature]));
    for (const [meterId, { signature }] of this.listening) {
      if (present.get(meterId) !== signature) this.listening.delete(meterId);
    }
    await this.broker.follow(this.routes.followed());
  }
}

function listen({ signature, profile, mapping, timeZone }: DeviceRoute): Listening {
  const session = mapping === null ? UNMAPPED : profile.open({ mapping, timeZone });
  return { signature, session, told: null };
}

const UNMAPPED: ProfileSession = {
  take: () => ({
    readings: [],
    rejections: [{ reason: 'malformed', detail: 'its mapping does not fit: set it again' }],
  }),
};

/** As cheap as it can be: nearly every message is native. */
function isNative(topic: string): boolean {
  return topic.startsWith('microgrids/') && topic.endsWith('/readings');
}

const REFRESH_MILLIS = 5_000;
/** As often as one session asks its device. */
const ASK_MILLIS = 60_000;
const MOST_ASKED = 20_000;
/** How often topics that nobody is known for may have the devices read again. */
const MISS_MILLIS = 200;
