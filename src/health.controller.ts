import { Controller, Get, ServiceUnavailableException } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  HealthCheckService,
  HealthIndicatorService,
  type HealthCheckResult,
} from '@nestjs/terminus';
import { BrokerService } from './broker/broker.service.js';
import { DatabaseService } from './database/database.service.js';
import { Public } from './parties/access.decorator.js';
import { Problem } from './units/problem.js';

/** Whether the process runs, and whether it can do its work. */
@ApiTags('operations')
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicator: HealthIndicatorService,
    private readonly database: DatabaseService,
    private readonly broker: BrokerService,
  ) {}

  @Get('live')
  @Public()
  @ApiOperation({ summary: 'The process answers' })
  live() {
    return { status: 'ok' };
  }

  @Get('ready')
  @Public()
  @ApiOperation({ summary: 'Database and broker are there; 503 otherwise' })
  ready() {
    const checked = this.health.check([
      async () => {
        const check = this.indicator.check('database');
        return this.database.query('SELECT 1').then(
          () => check.up(),
          () => check.down(),
        );
      },
      () => {
        const check = this.indicator.check('broker');
        return this.broker.connected() ? check.up() : check.down();
      },
    ]);
    return checked.catch((error: unknown) => {
      throw error instanceof ServiceUnavailableException ? notReady(error) : error;
    });
  }
}

/** Names what is down. */
function notReady(error: ServiceUnavailableException): Problem {
  const { error: down = {} } = error.getResponse() as Partial<HealthCheckResult>;
  return new Problem(503, 'not_ready', `Not there: ${Object.keys(down).join(', ')}.`);
}
