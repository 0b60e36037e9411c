import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentCaller } from './access.decorator.js';
import type { Caller } from './access.decorator.js';
import { METER_KEY } from './meter-key.js';
import { MeterKeyService } from './meter-key.service.js';
import { bodyOf } from './openapi.js';

/** What operators do with the keys of meters that sign their readings. */
@ApiTags('operator')
@ApiBearerAuth()
@Controller('v1/operator/microgrids/:microgrid/meters/:meter')
export class MeterKeyController {
  constructor(
    private readonly database: DatabaseService,
    private readonly meterKeys: MeterKeyService,
  ) {}

  @Get('keys')
  @Allow('operator.read')
  @ApiOperation({ summary: 'The keys a meter had, in order; the last one holds.' })
  async keys(@Param('microgrid') microgridId: string, @Param('meter') meterId: string) {
    const items = await this.database.transaction((sql) =>
      this.meterKeys.keys(sql, microgridId, meterId),
    );
    return { items, next: null };
  }

  @Post('key')
  @Allow('operator.write')
  @ApiOperation({ summary: 'A key for a meter: from now on it is believed only with a signature.' })
  @ApiBody(bodyOf(METER_KEY))
  async register(
    @Param('microgrid') microgridId: string,
    @Param('meter') meterId: string,
    @Body() body: { publicKey: string },
    @CurrentCaller() caller: Caller,
  ) {
    return this.database.transaction((sql) =>
      this.meterKeys.register(sql, microgridId, meterId, body, caller.personId),
    );
  }

  @Delete('key')
  @Allow('operator.write')
  @HttpCode(200)
  @ApiOperation({ summary: 'Revoke a key: nothing of the meter counts until it gets another.' })
  async revoke(
    @Param('microgrid') microgridId: string,
    @Param('meter') meterId: string,
    @CurrentCaller() caller: Caller,
  ) {
    return this.database.transaction((sql) =>
      this.meterKeys.revoke(sql, microgridId, meterId, caller.personId),
    );
  }
}
