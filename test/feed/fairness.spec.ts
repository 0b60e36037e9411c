import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Global, Module, type INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { io, type Socket } from 'socket.io-client';
import { BrokerService } from '../../src/broker/broker.service.js';
import { loadSettings, SettingsModule } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { FeedAdapter } from '../../src/feed/feed-adapter.gateway.js';
import type { FeedEvent } from '../../src/feed/feed-event.js';
import { FeedModule } from '../../src/feed/feed.module.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import { MarketService } from '../../src/market/market.service.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { AccessGuard } from '../../src/parties/access.guard.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { ProblemFilter } from '../../src/parties/problem.filter.js';
import { sha256 } from '../../src/parties/secret.js';
import { FairnessController } from '../../src/settlement/fairness.controller.js';
import { FairnessService } from '../../src/settlement/fairness.service.js';
import { MicrogridController } from '../../src/settlement/microgrid.controller.js';
import { SettlementService } from '../../src/settlement/settlement.service.js';
import { SlotClosingService } from '../../src/settlement/slot-closing.service.js';
import { at, openStreet, STARTS, type Street } from '../settlement/street.js';
import { FakeBroker, FeedSocket, until } from './feed-app.js';

/** A street closes slots: the interface and the feed tell the same, each to whom it concerns. */

let street: Street;
let app: INestApplication;
let base = '';
const sockets: Socket[] = [];

beforeAll(async () => {
  street = await openStreet({
    households: { A: { pv: true }, B: { wallet: 75_002 }, C: { wallet: 1_000_000 } },
    gridFeeMicroPerKwh: 20_000,
  });
  const { read, advance } = street;
  await read('10:00', { A: { in: 0, out: 0, pv: 0 }, B: { in: 0 }, C: { in: 0 } });
  await read('10:15', { A: { in: 0, out: 900, pv: 900 }, B: { in: 800 }, C: { in: 500 } });
  await read('10:30', { A: { in: 0, out: 900, pv: 900 }, B: { in: 900 }, C: { in: 500 } });
  await advance('10:40');
  app = await startApp(street);
}, 60_000);

afterAll(async () => {
  for (const socket of sockets) socket.disconnect();
  await app?.close();
  await street?.close();
});

describe('over HTTP', () => {
  test('every member is told what the slot reached, without a name', async () => {
    const { status, body } = await get('ben', `microgrids/street/slots/${at('10:00')}/fairness`);
    expect(status).toBe(200);
    // B's wallet covers 250 Wh at its limit, C needs 500: the 150 Wh over press the price down.
    expect(body).toMatchObject({
      slot: at('10:00'),
      slotEnd: at('10:15'),
      mechanism: 'metered',
      basis: 'close',
      revision: 0,
      currency: 'EUR',
      priceMicroPerKwh: 50_000,
      priceIntervalMicroPerKwh: [50_000, 50_000],
      shareThousandths: 1000,
      tradedWh: 750,
      possibleWh: 750,
      welfareMicro: 172_500,
      possibleWelfareMicro: 172_500,
      nodes: { items: [], next: null },
    });
    expect(JSON.stringify(body)).not.toMatch(/"[ABC]"/);
    const closed = await street.records(['slot-closed']);
    expect(closed[0]!.facts).toMatchObject({
      clearingPriceMicroPerKwh: 50_000,
      priceInterval: [50_000, 50_000],
      tradedWh: 750,
    });
  });

  test('a household is told why, newest slot first and page by page', async () => {
    const first = await get('ben', 'households/B/fairness?limit=1');
    expect(first.body.items).toHaveLength(1);
    expect(first.body.items[0]).toMatchObject({
      slot: at('10:15'),
      orders: [
        {
          side: 'bid',
          wantedWh: 100,
          filledWh: 0,
          reasons: [{ code: 'no-counterpart', energyWh: 100 }],
        },
      ],
    });
    const second = await get('ben', `households/B/fairness?limit=1&after=${first.body.next}`);
    expect(second.body).toMatchObject({
      next: null,
      items: [
        {
          household: 'B',
          slot: at('10:00'),
          ordersInAll: 1,
          orders: [
            {
              order: null,
              limitMicroPerKwh: null,
              wantedWh: 800,
              filledWh: 250,
              reasons: [
                {
                  code: 'filled',
                  energyWh: 250,
                  figures: { limitMicroPerKwh: 300_000, lowestMicroPerKwh: 70_000 },
                },
                { code: 'wallet', energyWh: 550, words: 'Your wallet covered 250 Wh of 800 Wh.' },
              ],
            },
          ],
        },
      ],
    });
    const alone = await get('ben', `households/B/fairness?slot=${at('10:00')}`);
    expect(alone.body).toEqual(second.body);
  });

  test('all slots come as one list, to each as they may see them', async () => {
    const { body } = await get('ben', 'microgrids/street/fairness?limit=1');
    expect(body.items).toMatchObject([{ slot: at('10:15'), tradedWh: 0, shareThousandths: null }]);
    const rest = await get('rita', `microgrids/street/fairness?after=${body.next}`);
    expect(rest.body).toMatchObject({ items: [{ slot: at('10:00') }], next: null });
    expect(JSON.stringify(rest.body)).not.toMatch(/Wh"|Interval|elfareM/);
  });

  test.each([
    ['ben', 750],
    ['olga', 750],
    ['rita', undefined],
    ['ada', undefined],
  ])('the list of slots tells %s of energy: %s', async (who, tradedWh) => {
    const { status, body } = await get(who, 'microgrids/street/slots');
    expect(status).toBe(200);
    const slot = body.items.find((one) => one['slot'] === at('10:00'))!;
    expect(slot).toMatchObject({ status: 'closed', clearingPriceMicroPerKwh: 50_000 });
    expect(slot['tradedWh']).toBe(tradedWh);
    if (tradedWh === undefined) expect(JSON.stringify(body)).not.toMatch(/Wh"/);
  });

  test.each([
    [
      'a regulator hears the price and its rule, no energy',
      'rita',
      'microgrids/street/slots/10:00',
      200,
    ],
    ['an operator reads a household', 'olga', 'households/A', 200],
    ['no neighbor reads it', 'ben', 'households/A', 403],
    ['no regulator reads it', 'rita', 'households/A', 403],
    ['nobody without a grant', 'nobody', 'microgrids/street/slots/10:00', 403],
    ['a tenant sees no slot before the tenancy', 'new', 'households/C?slot=10:00', 404],
    ['a slot that is open has no fairness yet', 'ben', 'microgrids/street/slots/10:45', 404],
    ['what is no instant is refused', 'ben', 'microgrids/street/slots/noon', 400],
  ])('%s', async (_, who, place, expected) => {
    const [path, query] = place.split('?');
    const slots = path!.replace(/\d\d:\d\d$/, at);
    const asked = query === undefined ? '' : `?${query.replace(/\d\d:\d\d$/, at)}`;
    const { status, body } = await get(who, `${slots}/fairness${asked}`);
    expect([who, place, status]).toEqual([who, place, expected]);
    if (who === 'rita' && status === 200) {
      expect(body).toMatchObject({ priceMicroPerKwh: 50_000, shareThousandths: 1000 });
      expect(JSON.stringify(body)).not.toMatch(/Wh"|Interval|elfareM/);
    }
  });

  test('a tenant is told of no slot before the tenancy', async () => {
    const { body } = await get('new', 'households/C/fairness');
    expect(body.items.map(({ slot }) => slot)).toEqual([at('10:15')]);
  });
});

describe('over the feed', () => {
  test('whoever listens is told of the latest slot, and then of each that closes', async () => {
    const ben = await listen('ben');
    const rita = await listen('rita');
    await until(() => fairness(ben).length === 2 && fairness(rita).length === 1, 'the latest slot');
    expect(fairness(ben).map(({ room, slot }) => [room, slot])).toEqual([
      ['household/street/B', at('10:15')],
      ['microgrid/street', at('10:15')],
    ]);
    expect(JSON.stringify(fairness(rita))).not.toMatch(/Wh"|Interval|elfareM/);

    await street.read('10:45', {
      A: { in: 0, out: 1_000, pv: 1_000 },
      B: { in: 900 },
      C: { in: 600 },
    });
    await street.advance('10:55');
    await until(() => fairness(ben).length === 4 && fairness(rita).length === 2, 'the next slot');
    const [own, anonymous] = fairness(ben).slice(-2);
    const path = `microgrids/street/slots/${at('10:30')}/fairness`;
    const { nodes: _, ...told } = (await get('ben', path)).body;
    expect(anonymous).toMatchObject({ ...told, view: 'microgrid', at: at('10:45') });
    const [item] = (await get('ben', `households/B/fairness?slot=${at('10:30')}`)).body.items;
    expect(own).toMatchObject({ view: 'household', household: 'B', orders: item!['orders'] });
    expect(fairness(rita).at(-1)).toMatchObject({
      ...(await get('rita', path)).body,
      view: 'regulator',
    });
    expect(JSON.stringify(fairness(ben))).not.toMatch(/"[AC]"/);
  });
});

type Told = FeedEvent & { type: 'fairness' };

function fairness({ frames }: FeedSocket): Told[] {
  return frames.flat().filter((event): event is Told => event.type === 'fairness');
}

interface Body {
  items: Record<string, unknown>[];
  next: string | null;
  [name: string]: unknown;
}

async function get(who: string, path: string): Promise<{ status: number; body: Body }> {
  const response = await fetch(`${base}/v1/${path}`, {
    headers: { authorization: `Bearer ${await tokenOf(who)}` },
  });
  return { status: response.status, body: (await response.json()) as Body };
}

async function listen(who: string): Promise<FeedSocket> {
  const socket = io(`${base}/feed`, {
    auth: { token: await tokenOf(who) },
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
  });
  sockets.push(socket);
  const feed = new FeedSocket(socket);
  await new Promise((resolve) => socket.once('connect', () => resolve(null)));
  expect(await feed.subscribe()).toMatchObject({ ok: true });
  return feed;
}

const PEOPLE: Record<string, { role: string; household?: string; from?: string } | null> = {
  ben: { role: 'household', household: 'B' },
  new: { role: 'household', household: 'C', from: at('10:15') },
  olga: { role: 'operator' },
  rita: { role: 'regulator' },
  ada: { role: 'auditor' },
  nobody: null,
};
const tokens = new Map<string, string>();

/** A session of a person with their grants, as the log-in makes it. */
async function tokenOf(who: string): Promise<string> {
  const known = tokens.get(who);
  if (known !== undefined) return known;
  const { database } = street;
  await database.query(`INSERT INTO party (party_id, kind) VALUES ($1::text, 'person')`, [who]);
  await database.query(`INSERT INTO person (person_id, name) VALUES ($1::text, $1::text)`, [who]);
  const grant = PEOPLE[who];
  if (grant) {
    await database.query(
      `INSERT INTO person_grant (person_id, role, microgrid_id, household_id, valid_from)
       VALUES ($1, $2, 'street', $3, $4)`,
      [who, grant.role, grant.household ?? null, grant.from ?? STARTS],
    );
  }
  const token = randomBytes(32).toString('base64url');
  await database.query(
    `INSERT INTO session (person_id, token_hash, refresh_hash, expires_at, refresh_expires_at)
     VALUES ($1, $2, $3, now() + interval '1 hour', now() + interval '1 day')`,
    [who, sha256(token), sha256(`${token}/refresh`)],
  );
  tokens.set(who, token);
  return token;
}

/** The feed and the interface of fairness, over the services that ran the street. */
async function startApp(of: Street): Promise<INestApplication> {
  const settings = loadSettings({ MARKET_CLOCK: 'simulated' });
  const providers = [
    {
      provide: DatabaseService,
      useValue: {
        query: of.database.query.bind(of.database),
        transaction: of.database.transaction.bind(of.database),
      },
    },
    { provide: BrokerService, useValue: new FakeBroker() },
    { provide: MeteringService, useValue: of.metering },
    { provide: LedgerService, useValue: of.ledger },
    { provide: LogService, useValue: of.log },
    { provide: MarketClockService, useValue: of.clock },
    { provide: PartiesService, useValue: of.parties },
    { provide: MarketService, useValue: of.market },
    { provide: SlotClosingService, useValue: of.closing },
    FairnessService,
  ];
  @Global()
  @Module({ providers, exports: providers })
  class Rest {}
  @Module({
    imports: [SettingsModule.of(settings), Rest, FeedModule],
    controllers: [FairnessController, MicrogridController],
    providers: [
      SettlementService,
      { provide: APP_GUARD, useClass: AccessGuard },
      { provide: APP_FILTER, useClass: ProblemFilter },
    ],
  })
  class FairnessApp {}
  const created = await NestFactory.create(FairnessApp, { logger: false });
  created.useWebSocketAdapter(new FeedAdapter(created, settings.allowedOrigins));
  await created.listen(0, '127.0.0.1');
  base = `http://127.0.0.1:${(created.getHttpServer().address() as AddressInfo).port}`;
  return created;
}
