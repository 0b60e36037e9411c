import { Global, Module } from '@nestjs/common';
import { FeedGateway } from './feed.gateway.js';
import { FeedService } from './feed.service.js';
import { LiveService } from './live.service.js';
import { SettlementPublisherService } from './settlement-publisher.service.js';

/** What is committed, told to whom it concerns: over sockets, and settlements over MQTT. */
@Global()
@Module({
  providers: [FeedService, FeedGateway, LiveService, SettlementPublisherService],
  exports: [FeedService],
})
export class FeedModule {}
