import { Body, Controller, Param, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentCaller } from '../parties/access.decorator.js';
import type { Caller } from '../parties/access.decorator.js';
import { bodyOf } from '../parties/openapi.js';
import { ident, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import { ExchangeService } from './exchange.service.js';
import { METER_EXCHANGE } from './meter-exchange.js';

const PATH = z.object({ microgrid: ident, meter: ident });

/** An operator's word that a meter was replaced. */
@ApiTags('operator')
@ApiBearerAuth()
@Controller('v1/operator/microgrids/:microgrid/meters/:meter')
export class ExchangeController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly exchanges: ExchangeService,
  ) {}

  @Post('exchanges')
  @Allow('operator.write')
  @ApiOperation({
    summary: 'A meter was replaced under the same id: what the old one showed last, the new first.',
  })
  @ApiBody(bodyOf(METER_EXCHANGE))
  async exchange(@Param() params: unknown, @Body() body: unknown, @CurrentCaller() caller: Caller) {
    const { microgrid: microgridId, meter } = parse(PATH, params);
    const exchange = parse(METER_EXCHANGE, body);
    const microgrid = await this.parties.microgrid(this.database, microgridId);
    if (!microgrid) throw new Problem(404, 'unknown_microgrid', 'There is no such microgrid.');
    return this.database.transaction((sql) =>
      this.exchanges.exchange(sql, microgrid, meter, exchange, caller.personId),
    );
  }
}
