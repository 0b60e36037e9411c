import { Controller, Get, Param } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DatabaseService } from '../database/database.service.js';
import { Allow } from '../parties/access.decorator.js';
import { MeterProfileService } from '../parties/meter-profile.service.js';
import { Problem } from '../units/problem.js';
import { PartiesService } from '../parties/parties.service.js';
import { householdMeters } from './household-meters.store.js';

/** A household's meters, from the code that claims one to its first reading. */
@ApiTags('households')
@ApiBearerAuth()
@Controller('v1/households')
export class HouseholdMetersController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly profiles: MeterProfileService,
  ) {}

  @Get(':household/meters')
  @Allow('household.read')
  @ApiOperation({
    summary:
      'Meters of the household: whether a code waits to be used, and when each was last read',
  })
  async meters(@Param('household') householdId: string) {
    const household = await this.parties.householdOf(this.database, householdId);
    if (!household) throw new Problem(404, 'unknown_household', `There is no ${householdId}.`);
    const { microgridId } = household;
    const rows = await householdMeters(this.database, microgridId, householdId);
    const ids = rows.map(({ meterId }) => meterId);
    const profiles = await this.profiles.of(this.database, microgridId, ids);
    const items = rows.map(({ meterId, ...row }) => ({
      meter: meterId,
      profile: profiles.get(meterId)?.profile ?? 'native',
      ...row,
    }));
    return { items, next: null };
  }
}
