import { Module, type INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { loadSettings } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { AutopilotService } from '../../src/market/autopilot.service.js';
import { MarketController } from '../../src/market/market.controller.js';
import { MarketService } from '../../src/market/market.service.js';
import { OrderService } from '../../src/market/order.service.js';
import { OrdersController } from '../../src/market/orders.controller.js';
import { StrategyController } from '../../src/market/strategy.controller.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { AccessGuard } from '../../src/parties/access.guard.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { ProblemFilter } from '../../src/parties/problem.filter.js';
import { tenantOf } from './street.js';

/** The market's doors over HTTP, for whoever lives on the street: an instance of the service, in part. */
export class MarketApp {
  private constructor(
    private readonly app: INestApplication,
    private readonly base: string,
    private readonly database: DatabaseService,
    readonly market: MarketService,
  ) {}

  /** @param url of the street's database, to which it opens connections of its own */
  static async open(url: string): Promise<MarketApp> {
    const database = await DatabaseService.open({ url, poolSize: 5 });
    const clock = new MarketClockService({ marketClock: 'simulated' }, database);
    const ledger = new LedgerService();
    const real = new PartiesService(database, clock, { append: () => Promise.resolve([]) });
    // The token is the household's id, padded; everything behind it is real.
    const parties = Object.assign(Object.create(real) as PartiesService, {
      callerOf: (token: string) => Promise.resolve(tenantOf(token.replaceAll('-', ''))),
    });
    const market = new MarketService(database, ledger, parties, clock);
    const orders = new OrderService(database, ledger, parties, clock);
    const metering = new MeteringService(new IntakeService(database, clock, loadSettings({})));
    const autopilot = new AutopilotService(database, ledger, parties, metering, market, clock);
    @Module({
      controllers: [OrdersController, MarketController, StrategyController],
      providers: [
        { provide: DatabaseService, useValue: database },
        { provide: PartiesService, useValue: parties },
        { provide: MarketClockService, useValue: clock },
        { provide: OrderService, useValue: orders },
        { provide: MarketService, useValue: market },
        { provide: AutopilotService, useValue: autopilot },
        { provide: APP_GUARD, useClass: AccessGuard },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    })
    class MarketOverHttp {}
    const app = await NestFactory.create(MarketOverHttp, { logger: false });
    await app.listen(0, '127.0.0.1');
    return new MarketApp(app, `${await app.getUrl()}/v1`, database, market);
  }

  /** As someone who lives in `household`. */
  async call(
    household: string,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${this.base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${household.padEnd(20, '-')}`,
        'content-type': 'application/json',
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.database.close();
  }
}
