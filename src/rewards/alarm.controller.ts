import { Controller, Get, Param } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import { ident, parse } from '../parties/parse.js';
import { AlarmService } from './alarm.service.js';

/** What the market watch noticed, for regulators. */
@ApiTags('regulator')
@ApiBearerAuth()
@Controller('v1/regulator')
export class RegulatorAlarmController {
  constructor(private readonly alarms: AlarmService) {}

  @Get('microgrids/:microgrid/alarms')
  @Allow('efficiency.read')
  @ApiOperation({
    summary: 'Alarms of the market watch by month, under pseudonyms',
    description:
      'Of months in UTC that are over, where at least 15 households had part in the market: kind, severity, and pseudonyms that stay the same within the microgrid. No slots, energies, prices or names: the operator has the evidence. At most the latest 200. Every query is logged for the households.',
  })
  async list(@Param('microgrid') id: string, @CurrentCaller() { personId }: Caller) {
    const microgrid = parse(ident, id);
    return { microgrid, items: await this.alarms.alarms(microgrid, personId), next: null };
  }
}
