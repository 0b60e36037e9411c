import { Global, Module } from '@nestjs/common';
import { ExchangeController } from './exchange.controller.js';
import { ExchangeService } from './exchange.service.js';
import { IntakeService } from './intake.service.js';
import { MeasurementsController } from './measurements.controller.js';
import { MeteringService } from './metering.service.js';
import { MeterWatchService } from './meter-watch.service.js';
import { OversightController } from './oversight.controller.js';

/** From a meter's message to the energy of a slot. */
@Global()
@Module({
  controllers: [ExchangeController, MeasurementsController, OversightController],
  providers: [ExchangeService, IntakeService, MeteringService, MeterWatchService],
  exports: [ExchangeService, IntakeService, MeteringService, MeterWatchService],
})
export class MeteringModule {}
