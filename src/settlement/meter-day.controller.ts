import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiProduces, ApiQuery, ApiTags } from '@nestjs/swagger';
import { stringify } from 'csv-stringify/sync';
import type { Response } from 'express';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { METER_DAY_POSITION, type MeterDayRow } from '../metering/meter-day.js';
import { MeteringService } from '../metering/metering.service.js';
import type { Period, Scope } from '../parties/access.js';
import { Allow, CurrentPeriod, CurrentScope } from '../parties/access.decorator.js';
import { pageOf, parsePage, type Page } from '../parties/page.js';
import { ident, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import { within } from './household.controller.js';
import { dayOf } from './statement.js';

const OF_MICROGRID = z.object({ microgrid: ident, meter: ident });
const OF_HOUSEHOLD = z.object({ household: ident, meter: ident });
const DAY = z.object({
  day: z.iso.date('must be a day such as 2026-06-01'),
  format: z.enum(['json', 'csv']).default('json'),
});

type Shown = Omit<MeterDayRow, 'position'>;

/** What a meter said on a day, and what counts of it: raw readings beside the borders of its slots. */
@ApiTags('operator', 'households')
@ApiBearerAuth()
@ApiProduces('application/json', 'text/csv')
@ApiQuery({ name: 'day', example: '2026-06-01', description: 'in the time zone of the microgrid' })
@ApiQuery({ name: 'format', required: false, enum: ['json', 'csv'] })
@ApiQuery({ name: 'limit', required: false, description: '1 to 1000, by default 100' })
@ApiQuery({ name: 'after', required: false, description: 'the `next` of the page before' })
@Controller('v1')
export class MeterDayController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly metering: MeteringService,
  ) {}

  @Get('operator/microgrids/:microgrid/meters/:meter/readings')
  @Allow('operator.read')
  @ApiOperation({
    summary: 'A day of a meter: its raw readings, why some do not count, and the borders that do',
  })
  async ofMicrogrid(
    @Param() params: unknown,
    @Query() query: unknown,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { microgrid, meter } = parse(OF_MICROGRID, params);
    const everything = { from: null, until: null };
    return this.day({ microgrid, meter, household: null }, query, everything, response);
  }

  @Get('households/:household/meters/:meter/readings')
  @Allow('household.read')
  @ApiOperation({ summary: 'The same for a meter of the household, as far back as it may see' })
  async ofHousehold(
    @Param() params: unknown,
    @Query() query: unknown,
    @CurrentScope() { microgrid }: Scope,
    @CurrentPeriod() period: Period,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { household, meter } = parse(OF_HOUSEHOLD, params);
    return this.day({ microgrid: microgrid!, meter, household }, query, period, response);
  }

  private async day(
    of: { microgrid: string; meter: string; household: string | null },
    query: unknown,
    period: Period,
    response: Response,
  ): Promise<Page<Shown> | string> {
    const { day, format } = parse(DAY, query);
    const { limit, after } = parsePage(query);
    if (after !== null && !METER_DAY_POSITION.test(after)) throw unknownPosition();
    const microgrid = await this.parties.microgrid(this.database, of.microgrid);
    if (!microgrid) throw new Problem(404, 'unknown_microgrid', 'There is no such microgrid.');
    const { from, to } = within(dayOf(day, microgrid.timeZone), period);
    const rows = await this.metering.meterDay(this.database, {
      microgridId: of.microgrid,
      meterId: of.meter,
      householdId: of.household,
      from: from!,
      to: to!,
      after,
      limit,
    });
    if (!rows) throw new Problem(404, 'unknown_meter', `There is no ${of.meter} that you may see.`);
    const page = pageOf(
      rows,
      limit,
      ({ position }) => position,
      ({ position: _kept, ...row }): Shown => row,
    );
    if (format === 'json') return page;
    response.type('text/csv; charset=utf-8');
    if (page.next !== null) response.set('Next-After', page.next);
    return stringify(page.items, { header: true, columns: [...COLUMNS] });
  }
}

const COLUMNS = ['at', 'register', 'kind', 'valueWh', 'rule', 'quality', 'revision'] as const;

function unknownPosition(): Problem {
  return new Problem(
    400,
    'invalid_request',
    'after: must be the `next` of an earlier page. Correct and send again.',
  );
}
