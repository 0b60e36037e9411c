import { Module } from '@nestjs/common';
import { DeviceController } from './device.controller.js';
import { DeviceIntakeService } from './device-intake.service.js';
import { HouseholdMetersController } from './household-meters.controller.js';

/** Meters' devices at the broker; the commands, which have none, do without. */
@Module({
  controllers: [DeviceController, HouseholdMetersController],
  providers: [DeviceIntakeService],
  exports: [DeviceIntakeService],
})
export class DeviceModule {}
