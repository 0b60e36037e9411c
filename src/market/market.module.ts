import { Global, Module } from '@nestjs/common';
import { AutopilotService } from './autopilot.service.js';
import { MarketController } from './market.controller.js';
import { MarketService } from './market.service.js';
import { OrderService } from './order.service.js';
import { OrdersController } from './orders.controller.js';
import { StrategyController } from './strategy.controller.js';

/** Orders, gates, standing orders and trades. */
@Global()
@Module({
  controllers: [OrdersController, MarketController, StrategyController],
  providers: [MarketService, OrderService, AutopilotService],
  exports: [MarketService, OrderService, AutopilotService],
})
export class MarketModule {}
