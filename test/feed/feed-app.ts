import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Global, Module, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { io, type Socket } from 'socket.io-client';
import { BrokerService } from '../../src/broker/broker.service.js';
import { loadSettings, SettingsModule } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { FeedAdapter } from '../../src/feed/feed-adapter.gateway.js';
import { feedFrame, type FeedEvent, type SubscribeAck } from '../../src/feed/feed-event.js';
import { FeedModule } from '../../src/feed/feed.module.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import type { RecordDraft } from '../../src/ledger/record.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { EnrolmentJournal } from '../../src/parties/enrolment-journal.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { FairnessService } from '../../src/settlement/fairness.service.js';
import { sha256 } from '../../src/parties/secret.js';
import { freshDatabase } from '../support/database.js';

export const MICROGRID = 'street';
export const START = '2026-06-01T00:00:00Z';
export const ALLOWED_ORIGIN = 'https://page.example';

/** A broker that remembers what it was given, and can be away. */
export class FakeBroker {
  readonly messages: { topic: string; payload: string }[] = [];
  isAway = false;
  failures = 0;

  connected(): boolean {
    return !this.isAway;
  }

  async publish(topic: string, payload: string): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('the broker went away');
    }
    this.messages.push({ topic, payload });
  }
}

/** Meters' power, and who was heard for the first time, as tables. */
export class FakeMetering {
  first: Awaited<ReturnType<MeteringService['firstReadings']>> = [];
  power: Awaited<ReturnType<MeteringService['livePower']>> = [];

  async livePower(): Promise<typeof this.power> {
    return this.power;
  }

  async firstReadings(
    _sql: unknown,
    _microgrid: string,
    households: readonly string[],
  ): Promise<typeof this.first> {
    return this.first.filter(({ householdId }) => households.includes(householdId));
  }
}

export type FeedApp = Awaited<ReturnType<typeof startFeedApp>>;

/** The feed on a port of its own, over a database of its own, with a street of three households. */
export async function startFeedApp() {
  const { database, drop } = await freshDatabase();
  const dataDir = mkdtempSync(join(tmpdir(), 'neighborwatt-feed-'));
  const broker = new FakeBroker();
  const metering = new FakeMetering();
  const ledger = new LedgerService();
  const settings = loadSettings({
    DATA_DIR: dataDir,
    MARKET_CLOCK: 'simulated',
    ALLOWED_ORIGINS: ALLOWED_ORIGIN,
  });

  const providers = [
    {
      provide: DatabaseService,
      useValue: {
        query: database.query.bind(database),
        transaction: database.transaction.bind(database),
      },
    },
    { provide: BrokerService, useValue: broker },
    { provide: MeteringService, useValue: metering },
    { provide: LedgerService, useValue: ledger },
    { provide: FairnessService, useValue: { latest: () => Promise.resolve(null) } },
    { provide: EnrolmentJournal, useValue: ledger },
    LogService,
    MarketClockService,
    PartiesService,
  ];
  @Global()
  @Module({ providers, exports: providers })
  class Rest {}
  @Module({ imports: [SettingsModule.of(settings), Rest, FeedModule] })
  class TestApp {}

  const app: INestApplication = await NestFactory.create(TestApp, { logger: false });
  app.useWebSocketAdapter(new FeedAdapter(app, settings.allowedOrigins));
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/feed`;
  const parties = app.get(PartiesService);
  const sockets: Socket[] = [];

  await database.transaction(async (sql) => {
    await parties.createMicrogrid(
      sql,
      {
        microgrid: MICROGRID,
        name: 'A street',
        currency: 'EUR',
        startsAt: START,
        tariff: {
          bands: [{ fromMinute: 0, retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000 }],
        },
      },
      'test',
    );
    await parties.enrolMembers(
      sql,
      MICROGRID,
      {
        members: ['h01', 'h02', 'h03'].map((household, index) => ({
          household,
          alias: ['Birch', 'Cedar', 'Oak'][index]!,
          meters: [{ meter: `m-${household}`, role: 'grid' as const }],
        })),
      },
      'test',
    );
  });

  return {
    app,
    url,
    database,
    parties,
    ledger,
    broker,
    metering,
    logs: app.get(LogService),

    append(drafts: readonly RecordDraft[]): Promise<number[]> {
      return database.transaction((sql) => ledger.append(sql, MICROGRID, drafts));
    },

    /** A person with grants, logged in. @returns the token */
    async logIn(person: string, grants: readonly TestGrant[], seconds = 900): Promise<string> {
      await database.query(
        `INSERT INTO party (party_id, kind) VALUES ($1::text, 'person') ON CONFLICT DO NOTHING`,
        [person],
      );
      await database.query(
        `INSERT INTO person (person_id, name) VALUES ($1::text, $1::text) ON CONFLICT DO NOTHING`,
        [person],
      );
      for (const { role, household, from = START, until = null } of grants) {
        await database.query(
          `INSERT INTO person_grant (person_id, role, microgrid_id, household_id, valid_from, valid_until)
           VALUES ($1, $2, $3, $4, $5, $6)`,
          [person, role, MICROGRID, household ?? null, from, until],
        );
      }
      const token = randomBytes(32).toString('base64url');
      await database.query(
        `INSERT INTO session (person_id, token_hash, refresh_hash, expires_at, refresh_expires_at)
         VALUES ($1, $2, $3, now() + make_interval(secs => $4), now() + interval '1 day')`,
        [person, sha256(token), sha256(`${token}/refresh`), seconds],
      );
      return token;
    },

    async setClock(to: string): Promise<void> {
      await database.transaction((sql) => app.get(MarketClockService).advance(sql, to));
    },

    /** Connects and waits for the outcome. */
    async connect(token: string, options: ConnectOptions = {}): Promise<FeedSocket> {
      const socket = io(url, {
        auth: { token },
        transports: options.transports ?? ['websocket'],
        forceNew: true,
        reconnection: false,
        ...(options.origin === undefined ? {} : { extraHeaders: { origin: options.origin } }),
      });
      sockets.push(socket);
      const feed = new FeedSocket(socket);
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('connect_error', reject);
      });
      return feed;
    },

    async stop(): Promise<void> {
      for (const socket of sockets) socket.disconnect();
      await app.close();
      await drop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

const TRANSIENT: readonly FeedEvent['type'][] = ['reading', 'checkpoint', 'fairness'];

export interface TestGrant {
  role: 'household' | 'operator' | 'regulator';
  household?: string;
  from?: string;
  until?: string | null;
}

export interface ConnectOptions {
  origin?: string;
  transports?: string[];
}

/** A client that keeps everything it is sent, and checks it against the contract. */
export class FeedSocket {
  readonly frames: FeedEvent[][] = [];
  readonly others: { event: string; data: unknown }[] = [];

  constructor(readonly socket: Socket) {
    socket.on('feed', (frame: unknown) => this.frames.push(feedFrame.parse(frame)));
    for (const event of ['resync', 'auth_expired', 'disconnect']) {
      socket.on(event, (data: unknown) => this.others.push({ event, data }));
    }
  }

  /** What comes from the journal, in the order of arrival. */
  get events(): FeedEvent[] {
    return this.frames.flat().filter(({ type }) => !TRANSIENT.includes(type));
  }

  subscribe(since?: number): Promise<SubscribeAck> {
    const message = { microgrid: MICROGRID, ...(since === undefined ? {} : { since }) };
    return this.socket.timeout(5_000).emitWithAck('subscribe', message) as Promise<SubscribeAck>;
  }

  authenticate(token: string): Promise<{ ok: boolean; code?: string }> {
    return this.socket.timeout(5_000).emitWithAck('authenticate', { token }) as Promise<{
      ok: boolean;
      code?: string;
    }>;
  }

  /** Waits until something of the journal at or beyond `sequence` arrived. */
  reached(sequence: number): Promise<void> {
    return until(() => (this.events.at(-1)?.sequence ?? 0) >= sequence, `sequence ${sequence}`);
  }

  heard(event: string): boolean {
    return this.others.some((other) => other.event === event);
  }
}

/** @throws Error when the condition does not hold in time */
export async function until(condition: () => boolean, what: string, millis = 8_000): Promise<void> {
  const end = Date.now() + millis;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await pause(20);
  }
}

export const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, millis));
