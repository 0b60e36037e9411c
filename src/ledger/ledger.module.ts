import { Global, Module } from '@nestjs/common';
import { EnrolmentJournal } from '../parties/enrolment-journal.js';
import { AccountController } from './account.controller.js';
import { LedgerController } from './ledger.controller.js';
import { LedgerService } from './ledger.service.js';
import { LogController } from './log.controller.js';
import { LogService } from './log.service.js';
import { OpeningService } from './opening.service.js';
import { PublicationService } from './publication.service.js';

/** The books of every microgrid, and the signed log over them. */
@Global()
@Module({
  controllers: [LedgerController, AccountController, LogController],
  providers: [
    LedgerService,
    LogService,
    OpeningService,
    PublicationService,
    { provide: EnrolmentJournal, useExisting: LedgerService },
  ],
  exports: [LedgerService, LogService, OpeningService, PublicationService, EnrolmentJournal],
})
export class LedgerModule {}
