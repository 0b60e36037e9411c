import { Body, Controller, Get, HttpStatus, Param, Put } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import type { Household } from '../parties/microgrid.js';
import { bodyOf } from '../parties/openapi.js';
import { ident, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import { AutopilotService, type StrategyChoice } from './autopilot.service.js';
import { STRATEGY_NAMES } from './strategies.js';

// Strict: a misspelt switch would otherwise be taken for its default.
const CHOICE = z.strictObject({
  strategy: z.enum(STRATEGY_NAMES),
  enabled: z.boolean().default(true),
});

/** How a household lets its autopilot quote in the mechanisms that trade ahead. */
@ApiTags('market')
@ApiBearerAuth()
@Controller('v1/households/:household/strategy')
export class StrategyController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly autopilot: AutopilotService,
  ) {}

  @Get()
  @Allow('household.read')
  @ApiOperation({ summary: 'The strategy chosen last, and what it plans for a battery' })
  async strategy(@Param('household') id: string): Promise<StrategyChoice> {
    return this.autopilot.choice(this.database, await this.householdOf(id));
  }

  @Put()
  @Allow('strategy.write')
  @ApiOperation({ summary: 'Choose a strategy, or switch it off; within the limits as they are' })
  @ApiBody(bodyOf(CHOICE))
  async choose(
    @Param('household') id: string,
    @Body() body: unknown,
    @CurrentCaller() { personId }: Caller,
  ): Promise<StrategyChoice> {
    const choice = parse(CHOICE, body);
    const household = await this.householdOf(id);
    const microgrid = await this.parties.microgrid(this.database, household.microgridId);
    if (!microgrid) throw new Error(`no microgrid ${household.microgridId}`);
    return this.autopilot.choose(microgrid, household, choice, personId);
  }

  private async householdOf(id: string): Promise<Household> {
    const household = await this.parties.householdOf(this.database, parse(ident, id));
    if (household) return household;
    throw new Problem(HttpStatus.NOT_FOUND, 'unknown_household', `There is no household ${id}.`);
  }
}
