import { join } from 'node:path';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { formatInstant, parseInstant, type Instant } from '../../src/units/slot.js';
import { SIMULATED } from '../support/settings.js';
import { Observer } from './observer.js';
import { RunningService, tempFolder, until } from './program.js';
import type { AheadOrder, Message, Step, StreamedStreet } from './stream.js';
import { Stream } from './stream.js';
import { DatabaseServer, OpenMosquitto } from './victims.js';

/**
 * A service in processes of its own, with its database and perhaps its broker, that hosts several
 * streets: it plays their readings side by side on one clock, is struck at given instants, and is
 * asked what it came to.
 */

/** A street with what its meters will say when, and what it offers ahead. */
export interface PlayedStreet {
  street: StreamedStreet;
  orders: readonly AheadOrder[];
  steps: readonly Step[];
}

/** By account, without the name of the street. */
export type Balances = Record<string, { asset: string; balance: number; pending: number }>;

export class StreetHost {
  private mosquitto: OpenMosquitto | undefined;
  private readonly database: DatabaseServer;
  private readonly observer: Observer;
  private readonly streams: Stream[] = [];

  private constructor(
    private readonly folder: Awaited<ReturnType<typeof tempFolder>>,
    private readonly service: RunningService,
    private mqttPort: number,
  ) {
    this.database = new DatabaseServer(service.dataDir);
    this.observer = new Observer(service.dataDir);
  }

  /** @param broker a Mosquitto beside it, or its own */
  static async start(broker: 'embedded' | 'Mosquitto'): Promise<StreetHost> {
    const folder = await tempFolder();
    const mqttPort = await freePort();
    const mosquitto = broker === 'Mosquitto' ? new OpenMosquitto(folder.path, mqttPort) : undefined;
    await mosquitto?.start();
    const service = new RunningService(join(folder.path, 'data'), {
      ...SIMULATED,
      // A day's readings may come before the day.
      MAX_CLOCK_AHEAD_SECONDS: '86400',
      HTTP_PORT: String(await freePort()),
      BOOTSTRAP_LOGINS: join(folder.path, 'logins.json'),
      LOG_LEVEL: 'fatal',
      ...(mosquitto
        ? { MQTT_URL: `mqtt://127.0.0.1:${mqttPort}` }
        : { MQTT_PORT: String(mqttPort) }),
    });
    const host = new StreetHost(folder, service, mqttPort);
    host.mosquitto = mosquitto;
    await service.start();
    return host;
  }

  get dataDir(): string {
    return this.service.dataDir;
  }

  /**
   * Plays all of them to their ends, each founded when its day begins, and waits until everything they
   * said is taken in and every slot is closed behind it.
   * @param strikes what happens while the readings of an instant come
   */
  async play(
    streets: readonly PlayedStreet[],
    strikes: ReadonlyMap<Instant, () => Promise<void>> = new Map(),
  ): Promise<void> {
    const instants = new Set(streets.flatMap(({ steps }) => steps.map(({ at }) => at)));
    const founded: { stream: Stream; steps: ReadonlyMap<Instant, Step> }[] = [];
    const sorted = [...instants].sort((a, b) => parseInstant(a) - parseInstant(b));
    for (const at of sorted) {
      await founded[0]?.stream.moveClock(at);
      for (const one of streets.filter(({ street }) => street.founding.startsAt === at)) {
        founded.push({
          stream: await this.found(one),
          steps: new Map(one.steps.map((step) => [step.at, step])),
        });
      }
      await Promise.all([
        strikes.get(at)?.(),
        ...founded.map(({ stream, steps }) => stream.tell(steps.get(at) ?? NOTHING)),
      ]);
      if (strikes.has(at)) await this.observer.isBack();
    }
    const told = streets.flatMap(({ steps }) =>
      steps.flatMap(({ late, onTime }) => [...late, ...onTime]),
    );
    await until('everything is taken in', async () => {
      return (await this.observer.missing(told)).length === 0;
    });
    const last = parseInstant(sorted.at(-1)!);
    await founded[0]!.stream.moveClock(formatInstant(last + GRACE_MILLIS + 1_000));
  }

  async restartService(): Promise<void> {
    await this.service.kill();
    await this.service.start();
  }

  /** Its Mosquitto; or all of it, where the broker is its own. */
  async restartBroker(): Promise<void> {
    if (this.mosquitto) await this.mosquitto.restart();
    else await this.restartService();
  }

  /** The service starts it again. */
  killDatabase(): Promise<void> {
    return this.database.kill();
  }

  /** Posted and pending, as `household/h01/bill`. */
  async balances(microgrid: string): Promise<Balances> {
    const rows = await this.observer.query<{
      account: string;
      asset: string;
      balance: string;
      pending: string;
    }>(
      `SELECT account_id AS account, asset, credits_posted - debits_posted AS balance,
         credits_pending - debits_pending AS pending
       FROM account WHERE microgrid_id = $1 ORDER BY account_id`,
      [microgrid],
    );
    return Object.fromEntries(
      rows.map(({ account, asset, balance, pending }) => [
        account.replace(`${microgrid}-`, ''),
        { asset, balance: Number(balance), pending: Number(pending) },
      ]),
    );
  }

  /** How its slots ended, each end once, and how many corrections there were. */
  async slots(microgrid: string): Promise<{ ends: string[]; corrected: number; refused: number }> {
    const [row] = await this.observer.query<{ ends: string[]; corrected: number; refused: number }>(
      `SELECT array_agg(DISTINCT status) AS ends, sum(revision)::int AS corrected,
         (SELECT count(*)::int FROM rejection WHERE microgrid_id = $1) AS refused
       FROM slot WHERE microgrid_id = $1`,
      [microgrid],
    );
    return row!;
  }

  /** What each household's grid meter counted, as settled; by household, without the street's name. */
  async gridWh(microgrid: string): Promise<Record<string, [importWh: number, exportWh: number]>> {
    const rows = await this.observer.query<{ household: string; wh: [string, string] }>(
      `SELECT household_id AS household, ARRAY[sum(import_wh), sum(export_wh)]::text[] AS wh
       FROM (
         SELECT DISTINCT ON (slot_start, household_id) * FROM measurement
         WHERE microgrid_id = $1 ORDER BY slot_start, household_id, revision DESC
       ) latest
       GROUP BY household_id ORDER BY household_id`,
      [microgrid],
    );
    return Object.fromEntries(
      rows.map(({ household, wh: [importWh, exportWh] }) => [
        household.replace(`${microgrid}-`, ''),
        [Number(importWh), Number(exportWh)],
      ]),
    );
  }

  async close(): Promise<void> {
    for (const stream of this.streams) await stream.close();
    await this.observer.close();
    await this.service.kill();
    await this.mosquitto?.kill();
    await this.folder.remove();
  }

  private async found({ street, orders }: PlayedStreet): Promise<Stream> {
    const stream = new Stream(street);
    this.streams.push(stream);
    const where = { httpPort: Number(this.service.env['HTTP_PORT']), mqttPort: this.mqttPort };
    await stream.enrol(where, this.service.env['BOOTSTRAP_LOGINS']!);
    if (orders.length > 0) await stream.place(orders);
    return stream;
  }
}

const NOTHING = { late: [] as Message[], onTime: [] as Message[] };
const GRACE_MILLIS = 300_000;
