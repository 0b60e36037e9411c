import { Controller, Get, Module } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { loadSettings, SettingsModule } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import type { Outcome } from '../../src/operator-command.js';
import { OPERATOR_COMMANDS } from '../../src/operator-commands.js';
import { EnrolmentJournal } from '../../src/parties/enrolment-journal.js';
import { PartiesModule } from '../../src/parties/parties.module.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { PeopleService } from '../../src/parties/people.service.js';
import { freshDatabase } from '../support/database.js';
import { SIMULATED } from '../support/settings.js';

export const STARTS_AT = '2026-06-01T00:00:00Z';
export const PASSWORD = 'correct horse battery';
export const BANDS = [
  {
    fromMinute: 0,
    retailMicroPerKwh: 300_000,
    feedInMicroPerKwh: 50_000,
    gridFeeMicroPerKwh: 0,
  },
];

export interface Answer<Body = Record<string, unknown>> {
  status: number;
  body: Body;
  headers: Headers;
}

/**
 * The microgrid `street` on the simulated clock behind real HTTP, its journal the real ledger:
 * households h1 and h2 with a grid meter each, the deployment's operator `olga`, the street's
 * operator `otto`, and `anna` who lives in h1.
 */
export class Street {
  private constructor(
    private readonly app: NestExpressApplication,
    private readonly url: string,
    readonly database: DatabaseService,
    private readonly drop: () => Promise<void>,
  ) {}

  static async open(): Promise<Street> {
    const { database, drop } = await freshDatabase();
    const settings = loadSettings(SIMULATED);

    @Module({
      imports: [SettingsModule.of(settings)],
      providers: [
        { provide: DatabaseService, useValue: database },
        { provide: EnrolmentJournal, useClass: LedgerService },
      ],
      exports: [DatabaseService, EnrolmentJournal],
    })
    class GroundModule {}

    @Module({
      imports: [{ module: GroundModule, global: true }, PartiesModule],
      controllers: [ForgottenController],
    })
    class StreetModule {}

    const app = await NestFactory.create<NestExpressApplication>(StreetModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    const street = new Street(app, await app.getUrl(), database, drop);
    await street.found();
    return street;
  }

  get<Service>(service: Type<Service>): Service {
    return this.app.get(service);
  }

  async call<Body = Record<string, unknown>>(
    method: string,
    path: string,
    options: { token?: string; body?: unknown } = {},
  ): Promise<Answer<Body>> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    const body = (text === '' ? {} : JSON.parse(text)) as Body;
    return { status: response.status, body, headers: response.headers };
  }

  async logIn(user: string, password = PASSWORD): Promise<string> {
    const { status, body } = await this.call('POST', '/v1/sessions', { body: { user, password } });
    if (status !== 201) throw new Error(`log-in of ${user}: ${status} ${JSON.stringify(body)}`);
    return body['token'] as string;
  }

  /** Posts a text as it is, which need not be JSON. */
  raw(path: string, body: string): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return fetch(`${this.url}${path}`, { method: 'POST', headers, body });
  }

  /** Runs a command of `npm run operator` in this application. */
  command(
    name: string,
    values: Record<string, string | boolean>,
    positional: string[] = [],
  ): Promise<Outcome> {
    return OPERATOR_COMMANDS[name]!.run(this.app, {
      positional,
      text: (option) => String(values[option]),
      optional: (option) => values[option] as string | undefined,
      list: () => [],
      flag: (option) => values[option] === true,
    });
  }

  async setClock(now: string): Promise<void> {
    await this.database.query(
      `INSERT INTO market_clock (now) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET now = $1`,
      [now],
    );
  }

  async stop(): Promise<void> {
    await this.app.close();
    await this.drop();
  }

  private async found(): Promise<void> {
    const parties = this.get(PartiesService);
    const people = this.get(PeopleService);
    await this.database.transaction(async (sql) => {
      for (const microgrid of ['street', 'other']) {
        const founding = { microgrid, name: microgrid, currency: 'EUR', startsAt: STARTS_AT };
        await parties.createMicrogrid(sql, { ...founding, tariff: { bands: BANDS } }, 'test');
      }
      const members = ['h1', 'h2'].map((household) => ({
        household,
        alias: `House ${household}`,
        meters: [{ meter: `${household}-grid`, role: 'grid' as const }],
      }));
      await parties.enrolMembers(sql, 'street', { members }, 'test');
      const member = { household: 'x1', meters: [{ meter: 'x1-grid', role: 'grid' as const }] };
      await parties.enrolMembers(sql, 'other', { members: [member] }, 'test');
      const grantsOf = {
        olga: [{ role: 'operator' as const }],
        otto: [{ role: 'operator' as const, microgrid: 'street' }],
        anna: [{ role: 'household' as const, microgrid: 'street', household: 'h1' }],
      };
      for (const [person, grants] of Object.entries(grantsOf)) {
        const request = { person, name: `Test ${person}`, password: PASSWORD, grants };
        await people.createPerson(sql, request, COMMAND_LINE);
      }
    });
  }
}

/** A controller that forgot to say who may call it. */
@Controller('v1/forgotten')
export class ForgottenController {
  @Get()
  read(): string {
    return 'secret';
  }
}
