import { Global, Module } from '@nestjs/common';
import { BrokerService } from './broker.service.js';

/** Provides the broker; the application starts it when it knows who may do what. */
@Global()
@Module({ providers: [BrokerService], exports: [BrokerService] })
export class BrokerModule {}
