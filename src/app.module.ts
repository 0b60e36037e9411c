import { Module, type DynamicModule } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { BrokerModule } from './broker/broker.module.js';
import { SettingsModule, type Settings } from './config.js';
import { DatabaseModule } from './database/database.module.js';
import { DemoController } from './demo.controller.js';
import { FeedModule } from './feed/feed.module.js';
import { HealthController } from './health.controller.js';
import { LedgerModule } from './ledger/ledger.module.js';
import { MarketModule } from './market/market.module.js';
import { DeviceModule } from './metering/device.module.js';
import { MeteringModule } from './metering/metering.module.js';
import { MetricsController } from './metrics.controller.js';
import { PartiesModule } from './parties/parties.module.js';
import { RewardsModule } from './rewards/rewards.module.js';
import { SettlementModule } from './settlement/settlement.module.js';

/** Every room of the service, wired together. */
@Module({})
export class AppModule {
  static of(settings: Settings): DynamicModule {
    return {
      module: AppModule,
      imports: [
        SettingsModule.of(settings),
        DatabaseModule,
        BrokerModule,
        PartiesModule,
        LedgerModule,
        MeteringModule,
        DeviceModule,
        MarketModule,
        SettlementModule,
        RewardsModule,
        FeedModule,
        TerminusModule,
      ],
      controllers: [HealthController, MetricsController, DemoController],
    };
  }
}
