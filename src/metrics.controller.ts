import { timingSafeEqual } from 'node:crypto';
import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import { BrokerService } from './broker/broker.service.js';
import { SETTINGS, type Settings } from './config.js';
import { DatabaseService } from './database/database.service.js';
import { LedgerService } from './ledger/ledger.service.js';
import { PublicationService } from './ledger/publication.service.js';
import { MeterWatchService } from './metering/meter-watch.service.js';
import { MeteringService } from './metering/metering.service.js';
import { Public } from './parties/access.decorator.js';
import { MarketClockService } from './parties/market-clock.service.js';
import { PartiesService } from './parties/parties.service.js';
import { SettlementService } from './settlement/settlement.service.js';
import { Problem } from './units/problem.js';
import { parseInstant } from './units/slot.js';

const LOOPBACK = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

/** Figures for Prometheus; from this machine, or with the token of `METRICS_TOKEN`. */
@ApiTags('operations')
@Controller('metrics')
export class MetricsController {
  private readonly registry = new Registry();

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly database: DatabaseService,
    private readonly broker: BrokerService,
    private readonly metering: MeteringService,
    private readonly watch: MeterWatchService,
    private readonly parties: PartiesService,
    private readonly ledger: LedgerService,
    private readonly settlement: SettlementService,
    private readonly clock: MarketClockService,
    private readonly publication: PublicationService,
  ) {
    collectDefaultMetrics({ register: this.registry });
    this.defineGauges();
    this.definePublicationGauges();
  }

  @Get()
  @Public()
  @ApiOperation({ summary: 'Metrics in the text format of Prometheus' })
  async metrics(@Req() request: Request, @Res() response: Response): Promise<void> {
    if (!this.isAllowed(request)) {
      throw new Problem(
        403,
        'metrics_are_local',
        'Metrics are read from this machine, or with METRICS_TOKEN as bearer token.',
      );
    }
    response.type(this.registry.contentType).end(await this.registry.metrics());
  }

  /** A proxy on this machine forwards strangers too: then only the token counts. */
  private isAllowed(request: Request): boolean {
    const { metricsToken } = this.settings;
    const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (metricsToken !== undefined && given !== undefined) {
      const [a, b] = [Buffer.from(given), Buffer.from(metricsToken)];
      return a.length === b.length && timingSafeEqual(a, b);
    }
    return (
      request.headers['x-forwarded-for'] === undefined &&
      LOOPBACK.has(request.socket.remoteAddress ?? '')
    );
  }

  private defineGauges(): void {
    const { metering, broker } = this;
    const registers = [this.registry];
    new Gauge({
      name: 'neighborwatt_readings',
      help: 'Register values taken in or refused since the start, by outcome',
      labelNames: ['outcome'],
      registers,
      collect() {
        for (const [outcome, count] of Object.entries(metering.counters())) {
          this.set({ outcome }, Number(count));
        }
      },
    });
    const flags = () => this.flagCounts();
    new Gauge({
      name: 'neighborwatt_meter_flags',
      help: 'Meters that deserve a look, by flag; each microgrid is looked at once an hour',
      labelNames: ['flag'],
      registers,
      async collect() {
        for (const [flag, count] of Object.entries(await flags())) this.set({ flag }, count);
      },
    });
    new Gauge({
      name: 'neighborwatt_broker_refusals',
      help: 'Whom the embedded broker refused, cut off or held back since the start, by reason',
      labelNames: ['reason'],
      registers,
      collect() {
        for (const [reason, count] of Object.entries(broker.refusals())) {
          this.set({ reason }, count);
        }
      },
    });
    new Gauge({
      name: 'neighborwatt_broker_connected',
      help: '1 while messages arrive',
      registers,
      collect() {
        this.set(broker.connected() ? 1 : 0);
      },
    });
    const figures = (): Promise<[string, number, number][]> => this.slotFigures();
    new Gauge({
      name: 'neighborwatt_slot_lag_seconds',
      help: 'Market time since the end of the last settled slot',
      labelNames: ['microgrid'],
      registers,
      async collect() {
        for (const [microgrid, seconds] of await figures()) this.set({ microgrid }, seconds);
      },
    });
    new Gauge({
      name: 'neighborwatt_journal_sequence',
      help: 'Last record of the journal',
      labelNames: ['microgrid'],
      registers,
      async collect() {
        for (const [microgrid, , sequence] of await figures()) this.set({ microgrid }, sequence);
      },
    });
  }

  private definePublicationGauges(): void {
    const registers = [this.registry];
    const figures = () => this.publication.figures();
    new Gauge({
      name: 'neighborwatt_checkpoint_lag_records',
      help: 'Records that are signed for and whose checkpoint no quorum of witnesses has cosigned yet',
      labelNames: ['microgrid'],
      registers,
      async collect() {
        for (const { microgrid, records } of (await figures()).lags)
          this.set({ microgrid }, records);
      },
    });
    new Gauge({
      name: 'neighborwatt_checkpoint_lag_seconds',
      help: 'How long a signed checkpoint has been waiting for its witnesses',
      labelNames: ['microgrid'],
      registers,
      async collect() {
        for (const { microgrid, seconds } of (await figures()).lags)
          this.set({ microgrid }, seconds);
      },
    });
    new Gauge({
      name: 'neighborwatt_witness_failures',
      help: 'Requests since the start to which a witness gave no cosignature, by its name and why',
      labelNames: ['witness', 'reason'],
      registers,
      async collect() {
        for (const { witness, reason, count } of (await figures()).failures) {
          this.set({ witness, reason }, count);
        }
      },
    });
  }

  private async flagCounts() {
    const microgrids = await this.parties.microgrids(this.database);
    return this.watch.flagCounts(microgrids.map(({ microgridId }) => microgridId));
  }

  private async slotFigures(): Promise<[string, number, number][]> {
    const [microgrids, heads, now] = await Promise.all([
      this.parties.microgrids(this.database),
      this.ledger.heads(this.database),
      this.clock.now(),
    ]);
    return Promise.all(
      microgrids.map(async ({ microgridId, startsAt }): Promise<[string, number, number]> => {
        const through = await this.settlement.closedThrough(this.database, microgridId);
        const lagSeconds = (parseInstant(now) - parseInstant(through ?? startsAt)) / 1000;
        return [microgridId, lagSeconds, heads.get(microgridId) ?? 0];
      }),
    );
  }
}
