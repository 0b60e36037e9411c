import { Global, Module } from '@nestjs/common';
import { RegulatorAlarmController } from './alarm.controller.js';
import { AlarmService } from './alarm.service.js';
import { AuditController } from './audit.controller.js';
import { AwardService } from './award.service.js';
import { EfficiencyController } from './efficiency.controller.js';
import { EfficiencyService } from './efficiency.service.js';
import { HouseholdProgramController } from './household-program.controller.js';
import { ProgramController } from './program.controller.js';
import { RewardsService } from './rewards.service.js';

/** Reward programs, and what regulators may ask. */
@Global()
@Module({
  controllers: [
    AuditController,
    ProgramController,
    HouseholdProgramController,
    EfficiencyController,
    RegulatorAlarmController,
  ],
  providers: [RewardsService, AwardService, EfficiencyService, AlarmService],
  exports: [RewardsService, AwardService, EfficiencyService],
})
export class RewardsModule {}
