import { Global, Module } from '@nestjs/common';
import { AlarmController } from './alarm.controller.js';
import { FairnessController } from './fairness.controller.js';
import { FairnessService } from './fairness.service.js';
import { HouseholdController } from './household.controller.js';
import { ManifestController } from './manifest.controller.js';
import { ManifestService } from './manifest.service.js';
import { MarketWatchService } from './market-watch.service.js';
import { MeterDayController } from './meter-day.controller.js';
import { MeterSignatureService } from './meter-signature.service.js';
import { MicrogridController } from './microgrid.controller.js';
import { SettlementOperatorController } from './operator.controller.js';
import { ReceiptController } from './receipt.controller.js';
import { ReceiptService } from './receipt.service.js';
import { SettlementService } from './settlement.service.js';
import { SlotClockService } from './slot-clock.service.js';
import { SlotClosingService } from './slot-closing.service.js';
import { SlotCorrectionService } from './slot-correction.service.js';
import { StatementService } from './statement.service.js';

/** Slots: their clock, their close, their corrections, and what came of them. */
@Global()
@Module({
  controllers: [
    AlarmController,
    FairnessController,
    HouseholdController,
    ManifestController,
    MeterDayController,
    MicrogridController,
    ReceiptController,
    SettlementOperatorController,
  ],
  providers: [
    FairnessService,
    ManifestService,
    MarketWatchService,
    MeterSignatureService,
    ReceiptService,
    SettlementService,
    SlotClockService,
    SlotClosingService,
    SlotCorrectionService,
    StatementService,
  ],
  exports: [
    FairnessService,
    ManifestService,
    MarketWatchService,
    SettlementService,
    SlotClockService,
  ],
})
export class SettlementModule {}
