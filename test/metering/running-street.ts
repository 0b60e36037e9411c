import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Abstract, Type } from '@nestjs/common';
import mqtt, { type MqttClient } from 'mqtt';
import { loadSettings } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import type { HeardMessage } from '../../src/metering/device-watch.js';
import type { MeterReport } from '../../src/metering/meter-test.js';
import type { Outcome } from '../../src/operator-command.js';
import { OPERATOR_COMMANDS } from '../../src/operator-commands.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { PeopleService } from '../../src/parties/people.service.js';
import { startService, type RunningService } from '../../src/service.js';
import { freshDatabase } from '../support/database.js';

const PASSWORD = 'correct horse battery';
/** Below it the edge node of the meters m5 and m6 publishes, as the gateway `edge`. */
export const NODES = 'cellar';

/** Fields of the answers that are looked into here. */
interface Answer {
  token: string;
  detail: string;
  code: string;
  username: string;
  secret: string;
  report: MeterReport;
  messages: HeardMessage[];
}

/**
 * A running service with its own broker: Otto operates the street, Olga another one, and Anna lives on
 * his.
 */
export class RunningStreet {
  /** Of devices, by their names. */
  readonly secrets = new Map<string, string>();
  private readonly tokens = new Map<string, string>();

  private constructor(
    private readonly service: RunningService,
    private readonly drop: () => Promise<void>,
  ) {}

  static async open(): Promise<RunningStreet> {
    const database = await freshDatabase();
    const dataDir = await mkdtemp(join(tmpdir(), 'device-http-'));
    const service = await startService(
      loadSettings({
        DATABASE_URL: database.ownerUrl,
        DATA_DIR: dataDir,
        HTTP_PORT: '0',
        MQTT_PORT: '0',
        LOG_LEVEL: 'silent',
      }),
    );
    const street = new RunningStreet(service, async () => {
      await database.drop();
      await rm(dataDir, { recursive: true });
    });
    await street.found();
    await Promise.all(['otto', 'olga', 'anna'].map((user) => street.logIn(user)));
    return street;
  }

  async stop(): Promise<void> {
    await this.service.stop();
    await this.drop();
  }

  get<Service>(service: Type<Service> | Abstract<Service>): Service {
    return this.service.app.get<Service>(service);
  }

  get origin(): string {
    return `http://127.0.0.1:${this.service.httpPort}`;
  }

  /** @param who a person's id; null for nobody */
  async call(who: string | null, method: string, path: string, body?: unknown) {
    const response = await fetch(`http://127.0.0.1:${this.service.httpPort}/v1${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(who === null ? {} : { authorization: `Bearer ${this.tokens.get(who)}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    // As JSON comes; each test says what it expects of it.
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text === '' ? '{}' : text) as Answer };
  }

  /** A command of `npm run operator`. */
  command(name: string, values: Record<string, string>): Promise<Outcome> {
    return OPERATOR_COMMANDS[name]!.run(this.service.app, {
      positional: [],
      text: (option) => values[option]!,
      optional: (option) => values[option],
      list: () => [],
      flag: () => false,
    });
  }

  async connect(username: string, password: string): Promise<MqttClient> {
    const client = await mqtt.connectAsync(
      `mqtt://127.0.0.1:${this.service.mqttPort}`,
      { username, password, reconnectPeriod: 0 },
      false,
    );
    client.on('error', () => undefined);
    return client;
  }

  private async logIn(user: string): Promise<void> {
    const { body } = await this.call(null, 'POST', '/sessions', { user, password: PASSWORD });
    this.tokens.set(user, body.token);
  }

  private async found(): Promise<void> {
    const startsAt = new Date(Math.floor(Date.now() / 900_000) * 900_000).toISOString();
    const band = {
      fromMinute: 0,
      retailMicroPerKwh: 300_000,
      feedInMicroPerKwh: 50_000,
      gridFeeMicroPerKwh: 0,
    };
    const parties = this.get(PartiesService);
    const people = this.get(PeopleService);
    await this.get(DatabaseService).transaction(async (sql) => {
      const grid = (meter: string, device: object = {}) => ({
        meter,
        role: 'grid' as const,
        ...device,
      });
      const streets = {
        street: { h1: grid('m1'), h2: grid('m2', { profile: 'shelly', topic: 'shellies/em-2' }) },
        lane: { h3: grid('lane-m1') },
      };
      for (const [microgrid, houses] of Object.entries(streets)) {
        const tariff = { bands: [band] };
        const where = { name: microgrid, currency: 'EUR', timeZone: 'Europe/Berlin' };
        await parties.createMicrogrid(sql, { microgrid, ...where, startsAt, tariff }, 'otto');
        const members = Object.entries(houses).map(([household, meter]) => ({
          household,
          activeFrom: startsAt,
          meters: [meter],
        }));
        await parties.enrolMembers(sql, microgrid, { members }, 'otto');
      }
      const node = { profile: 'sparkplug' as const, topic: NODES, gateway: 'edge' };
      const members = ['m5', 'm6'].map((meter) => ({
        household: `of-${meter}`,
        activeFrom: startsAt,
        meters: [grid(meter, node)],
      }));
      const enrolment = { gateways: [{ gateway: 'edge' }], members };
      const issued = await parties.enrolMembers(sql, 'street', enrolment, 'otto');
      for (const { username, secret } of issued) this.secrets.set(username, secret);
      for (const [person, grant] of Object.entries({
        otto: { role: 'operator' as const, microgrid: 'street' },
        olga: { role: 'operator' as const, microgrid: 'lane' },
        anna: { role: 'household' as const, microgrid: 'street', household: 'h1' },
      })) {
        const request = { person, name: person, password: PASSWORD, grants: [grant] };
        await people.createPerson(sql, request, COMMAND_LINE);
      }
    });
  }
}
