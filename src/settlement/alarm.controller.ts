import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow } from '../parties/access.decorator.js';
import { pageOf, parsePage } from '../parties/page.js';
import { instant, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { MarketWatchService } from './market-watch.service.js';
import { findMicrogrid } from './microgrid.controller.js';

/** A position in the list of alarms. */
const POSITION = z
  .string()
  .transform((text) => text.split(' ') as [string, string])
  .pipe(z.tuple([instant, z.string().regex(/^[0-9a-f]{32}$/)]));

/** What the market watch noticed, for operators. */
@ApiTags('operator')
@ApiBearerAuth()
@Controller('v1/operator')
export class AlarmController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly watch: MarketWatchService,
  ) {}

  @Get('microgrids/:microgrid/alarms')
  @Allow('operator.read')
  @ApiOperation({
    summary: 'Wash, linked and circular trades, and households that set prices alone; newest first',
    description:
      'Each day of market time that has closed is looked at once: trades over the week before its end, prices over the day. An alarm has a reason in words and its evidence in figures; shares are in basis points. It is a reason to look, not a verdict. What was told within a week is not told again unless it is more severe.',
  })
  async alarms(@Param('microgrid') id: string, @Query() query: unknown) {
    const { microgridId } = await findMicrogrid(this.parties, this.database, id);
    const { limit, after } = parsePage(query);
    const position = after === null ? null : parse(POSITION, after);
    const rows = await this.watch.alarms(
      microgridId,
      limit,
      position && { until: position[0], alarm: position[1] },
    );
    return pageOf(
      rows,
      limit,
      ({ until, alarm }) => `${until} ${alarm}`,
      (row) => row,
    );
  }
}
