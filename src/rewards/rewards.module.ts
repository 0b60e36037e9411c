import { Global, Module } from '@nestjs/common';
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
  ],
  providers: [RewardsService, AwardService, EfficiencyService],
  exports: [RewardsService, AwardService, EfficiencyService],
})
export class RewardsModule {}
