import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { pageOf, parsePage } from '../parties/page.js';
import type { Page } from '../parties/page.js';
import { ident, parse } from '../parties/parse.js';
import { Problem } from '../units/problem.js';
import { watchedMeters, type WatchedMeter } from './meter-watch.service.js';
import { MeteringService } from './metering.service.js';
import type { StoredRejection } from './oversight.store.js';

const PATH = z.object({ microgrid: ident });

const REJECTION_POSITION =
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z [A-Za-z0-9_-]{0,64} [a-z_]{1,40} [0-9a-f]{64}$/;

/** What an operator looks after in a microgrid's metering. */
@ApiTags('operator')
@ApiBearerAuth()
@ApiParam({ name: 'microgrid' })
@ApiQuery({ name: 'limit', required: false, description: '1 to 1000, by default 100' })
@ApiQuery({ name: 'after', required: false, description: 'the `next` of the page before' })
@Controller('v1/operator/microgrids/:microgrid')
export class OversightController {
  constructor(
    private readonly database: DatabaseService,
    private readonly metering: MeteringService,
    private readonly clock: MarketClockService,
  ) {}

  @Get('rejections')
  @Allow('operator.read')
  @ApiOperation({ summary: 'Refused messages with their reasons, latest first' })
  async rejections(@Param() params: unknown, @Query() query: unknown) {
    const { microgrid } = parse(PATH, params);
    const { limit, after } = parsePage(query);
    if (after !== null && !REJECTION_POSITION.test(after)) throw unknownPosition();
    const rows = await this.metering.rejections(this.database, microgrid, { limit, after });
    return pageOf(rows, limit, ({ position }) => position, shownRejection);
  }

  @Get('meters')
  @Allow('operator.read')
  @ApiOperation({
    summary:
      'Meters with their last reading, how late it is, how far its clock is off, what was refused, and what deserves a look',
  })
  async meters(@Param() params: unknown, @Query() query: unknown): Promise<Page<WatchedMeter>> {
    const { microgrid } = parse(PATH, params);
    const { limit, after } = parsePage(query);
    if (after !== null && !ident.safeParse(after).success) throw unknownPosition();
    const page = { limit, after };
    const watched = await watchedMeters(this.database, this.metering, this.clock, microgrid, page);
    return pageOf(
      watched,
      limit,
      ({ meter }) => meter,
      (meter) => meter,
    );
  }
}

function shownRejection(rejection: StoredRejection) {
  const { meterId, reason, topic, detail, payload, payloadHash, count } = rejection;
  return {
    meter: meterId,
    reason,
    topic,
    detail,
    count,
    firstSeenAt: rejection.firstSeenAt,
    lastSeenAt: rejection.lastSeenAt,
    /** Up to 4 KiB of it; bytes that are no text are shown as U+FFFD. */
    payload: payload.toString('utf8'),
    payloadHash: payloadHash.toString('hex'),
  };
}

function unknownPosition(): Problem {
  return new Problem(
    400,
    'invalid_request',
    'after: must be the `next` of an earlier page. Correct and send again.',
  );
}
