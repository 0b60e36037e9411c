import { Global, Module } from '@nestjs/common';
import { MarketController } from './market.controller.js';
import { MarketService } from './market.service.js';
import { OrderService } from './order.service.js';
import { OrdersController } from './orders.controller.js';

/** Orders, gates, standing orders and trades. */
@Global()
@Module({
  controllers: [OrdersController, MarketController],
  providers: [MarketService, OrderService],
  exports: [MarketService, OrderService],
})
export class MarketModule {}
