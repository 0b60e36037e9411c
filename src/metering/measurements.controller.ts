import { Controller, Get, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentPeriod, CurrentScope } from '../parties/access.decorator.js';
import type { Period, Scope } from '../parties/access.js';
import { pageOf, parsePage } from '../parties/page.js';
import type { Page } from '../parties/page.js';
import { instant, parse } from '../parties/parse.js';
import { parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import type { StoredMeasurement } from './measurement.store.js';
import { MeteringService } from './metering.service.js';

const RANGE = z
  .object({ from: instant.optional(), to: instant.optional() })
  .refine(({ from, to }) => !from || !to || parseInstant(from) <= parseInstant(to), {
    path: ['to'],
    message: 'must not be before `from`',
  });

/** What a household's meters measured, slot by slot, within the time the caller may read. */
@ApiTags('households')
@ApiBearerAuth()
@Controller('v1/households/:household/measurements')
export class MeasurementsController {
  constructor(
    private readonly database: DatabaseService,
    private readonly metering: MeteringService,
  ) {}

  @Get()
  @Allow('household.read')
  @ApiOperation({ summary: 'Energy of the slots in [from, to), newest first' })
  @ApiParam({ name: 'household' })
  @ApiQuery({ name: 'from', required: false, description: 'RFC 3339 instant' })
  @ApiQuery({ name: 'to', required: false, description: 'RFC 3339 instant' })
  @ApiQuery({ name: 'limit', required: false, description: '1 to 1000, by default 100' })
  @ApiQuery({ name: 'after', required: false, description: 'the `next` of the page before' })
  async measurements(
    @Query() query: Record<string, unknown>,
    @CurrentScope() scope: Scope,
    @CurrentPeriod() period: Period,
  ): Promise<Page<StoredMeasurement>> {
    const { from, to } = parse(RANGE, { from: query['from'], to: query['to'] });
    const { limit, after } = parsePage({ limit: query['limit'], after: query['after'] });
    const rows = await this.metering.measurementsOf(this.database, {
      microgridId: scope.microgrid!,
      householdId: scope.household!,
      from: latest(period.from, from ?? null),
      until: earliest(period.until, to ?? null),
      before: after === null ? null : parse(instant, after),
      limit: limit + 1,
    });
    return pageOf(
      rows,
      limit,
      ({ slot }) => slot,
      (row) => row,
    );
  }
}

function latest(a: Instant | null, b: Instant | null): Instant | null {
  if (a === null || b === null) return a ?? b;
  return parseInstant(a) >= parseInstant(b) ? a : b;
}

function earliest(a: Instant | null, b: Instant | null): Instant | null {
  if (a === null || b === null) return a ?? b;
  return parseInstant(a) <= parseInstant(b) ? a : b;
}
