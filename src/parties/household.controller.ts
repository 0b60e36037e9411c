import { Controller, Get, Param } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DatabaseService } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import { Allow } from './access.decorator.js';
import { PartiesService } from './parties.service.js';

/** A household as its people and its operator see it. */
@ApiTags('households')
@ApiBearerAuth()
@Controller('v1/households')
export class HouseholdController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
  ) {}

  @Get(':household')
  @Allow('household.read')
  @ApiOperation({ summary: 'The household and its meters.' })
  async household(@Param('household') householdId: string) {
    const household = await this.parties.householdOf(this.database, householdId);
    if (!household) throw new Problem(404, 'unknown_household', `There is no ${householdId}.`);
    const { microgridId, alias, feeder, importLimitW, exportLimitW, activeFrom, activeUntil } =
      household;
    const microgrid = await this.parties.microgrid(this.database, microgridId);
    const meters = await this.parties.metersOf(this.database, microgridId, [householdId]);
    return {
      household: householdId,
      microgrid: microgridId,
      alias,
      currency: microgrid!.currency,
      feeder,
      importLimitW,
      exportLimitW,
      activeFrom,
      activeUntil,
      meters: meters.map((meter) => ({
        meter: meter.meterId,
        role: meter.role,
        usableWh: meter.usableWh,
        gateway: meter.gatewayId,
        activeFrom: meter.activeFrom,
        activeUntil: meter.activeUntil,
      })),
    };
  }
}
