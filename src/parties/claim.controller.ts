import { Body, Controller, HttpCode, Param, Post, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentCaller, Public } from './access.decorator.js';
import type { Caller } from './access.decorator.js';
import { CLAIM, ClaimService } from './claim.service.js';
import type { ClaimRequest } from './claim.service.js';
import { bodyOf } from './openapi.js';
import { ident, parse } from './parse.js';

const METER = z.object({ meter: ident });

/** Taking a meter into use by a one-time code. What it answers is shown once. */
@ApiTags('devices')
@Controller('v1')
export class ClaimController {
  constructor(
    private readonly database: DatabaseService,
    private readonly claims: ClaimService,
  ) {}

  @Post('operator/microgrids/:microgrid/meters/:meter/claim-code')
  @Allow('operator.write')
  @ApiBearerAuth()
  @ApiOperation({
    summary: 'A code by which the household claims the meter; good once, for 3 days.',
  })
  async makeCode(
    @Param('microgrid') microgridId: string,
    @Param('meter') meterId: string,
    @CurrentCaller() caller: Caller,
  ) {
    return this.database.transaction((sql) =>
      this.claims.makeCode(sql, microgridId, meterId, caller.personId),
    );
  }

  @Post('households/:household/meters/:meter/claim')
  @Allow('meter.claim')
  @HttpCode(200)
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Claim a meter of the household: its new secret, for its code.' })
  @ApiBody(bodyOf(CLAIM))
  async claim(
    @Param('household') householdId: string,
    @Param() params: unknown,
    @Body() body: ClaimRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: Request,
  ) {
    const { meter: meterId } = parse(METER, params);
    const address = request.ip ?? 'unknown';
    return this.claims.claim({ meterId, householdId, by: caller.personId, address }, body);
  }

  @Post('meters/:meter/claim')
  @Public()
  @HttpCode(200)
  @ApiOperation({ summary: 'The same by the device itself, which has nothing but the code.' })
  @ApiBody(bodyOf(CLAIM))
  async claimByDevice(
    @Param() params: unknown,
    @Body() body: ClaimRequest,
    @Req() request: Request,
  ) {
    const { meter: meterId } = parse(METER, params);
    const address = request.ip ?? 'unknown';
    return this.claims.claim({ meterId, householdId: null, by: 'claim-code', address }, body);
  }
}
