import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { AccessGuard } from './access.guard.js';
import { ClaimController } from './claim.controller.js';
import { ClaimService } from './claim.service.js';
import { DeviceService } from './device.service.js';
import { HouseholdController } from './household.controller.js';
import { JoiningService } from './joining.service.js';
import { MarketClockService } from './market-clock.service.js';
import { MeterKeyController } from './meter-key.controller.js';
import { MeterKeyService } from './meter-key.service.js';
import { MeterProfileService } from './meter-profile.service.js';
import { OperatorController } from './operator.controller.js';
import { OperatorPeopleController } from './operator-people.controller.js';
import { PartiesService } from './parties.service.js';
import { PeopleController } from './people.controller.js';
import { PeopleService } from './people.service.js';
import { ProblemFilter } from './problem.filter.js';
import { SessionController } from './session.controller.js';
import { SessionService } from './session.service.js';

const SERVICES = [
  ClaimService,
  DeviceService,
  JoiningService,
  MarketClockService,
  MeterKeyService,
  MeterProfileService,
  PartiesService,
  PeopleService,
  SessionService,
];

/**
 * Who takes part and who may do what. Its guard stands before every route of the application, and
 * its filter answers every error. The ledger's module binds `EnrolmentJournal`.
 */
@Global()
@Module({
  controllers: [
    ClaimController,
    HouseholdController,
    MeterKeyController,
    OperatorController,
    OperatorPeopleController,
    PeopleController,
    SessionController,
  ],
  providers: [
    ...SERVICES,
    { provide: APP_GUARD, useClass: AccessGuard },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
  exports: SERVICES,
})
export class PartiesModule {}
