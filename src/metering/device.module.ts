import { Module } from '@nestjs/common';
import { DeviceController } from './device.controller.js';
import { DeviceIntakeService } from './device-intake.service.js';

/** Meters' devices at the broker; the commands, which have none, do without. */
@Module({
  controllers: [DeviceController],
  providers: [DeviceIntakeService],
  exports: [DeviceIntakeService],
})
export class DeviceModule {}
