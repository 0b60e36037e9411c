import { Global, Module } from '@nestjs/common';
import { IntakeService } from './intake.service.js';
import { MeasurementsController } from './measurements.controller.js';
import { MeteringService } from './metering.service.js';
import { OversightController } from './oversight.controller.js';

/** From a meter's message to the energy of a slot. */
@Global()
@Module({
  controllers: [MeasurementsController, OversightController],
  providers: [IntakeService, MeteringService],
  exports: [IntakeService, MeteringService],
})
export class MeteringModule {}
