import { Body, Controller, Get, HttpStatus, Param, Put, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Household, Microgrid } from '../parties/microgrid.js';
import { bodyOf } from '../parties/openapi.js';
import { pageOf, parsePage, type Page } from '../parties/page.js';
import { ident, instant, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import { MarketService, type Limits } from './market.service.js';
import { OrderService, type PriceLevel } from './order.service.js';
import { firstOpenSlot } from './order.js';

const limitPrice = z
  .int('must be a whole number of micro-units per kWh')
  .min(0)
  .max(1_000_000_000)
  .nullable()
  .default(null);
// Strict: a misspelt limit would otherwise be taken for one that is given up.
const LIMITS = z.strictObject({
  sellAboveMicroPerKwh: limitPrice,
  buyBelowMicroPerKwh: limitPrice,
});

const BOOK = z.object({ slot: instant.optional() });
const POSITION = z.object({ slot: instant, number: z.coerce.number().int().min(0) });

interface OrderBook {
  slot: Instant;
  bids: PriceLevel[];
  asks: PriceLevel[];
}

interface TapeItem {
  sequence: number;
  slot: Instant;
  energyWh: number;
  priceMicroPerKwh: number;
}

/** What everyone in a microgrid may see of its market, without names, and a household's limits. */
@ApiTags('market')
@ApiBearerAuth()
@Controller('v1')
export class MarketController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
    private readonly orders: OrderService,
    private readonly market: MarketService,
  ) {}

  @Get('microgrids/:microgrid/order-book')
  @Allow('market.read')
  @ApiOperation({ summary: 'Open orders of a slot by price; without a slot, of the next open one' })
  async book(@Param('microgrid') id: string, @Query() query: unknown): Promise<OrderBook> {
    const { slot: asked } = parse(BOOK, query);
    const microgrid = await this.microgridOf(id);
    const slot = asked ?? firstOpenSlot(await this.clock.now(), microgrid);
    return { slot, ...(await this.orders.orderBook(microgrid.microgridId, slot)) };
  }

  @Get('microgrids/:microgrid/trades')
  @Allow('market.read')
  @ApiOperation({ summary: 'The tape: trades without names, newest first' })
  async tape(@Param('microgrid') id: string, @Query() query: unknown): Promise<Page<TapeItem>> {
    const { limit, after } = parsePage(query);
    const rows = await this.market.tape(parse(ident, id), limit, positionOf(after));
    return pageOf(
      rows,
      limit,
      ({ slot, number }) => `${slot} ${number}`,
      ({ sequence, slot, energyWh, priceMicroPerKwh }) => ({
        sequence,
        slot,
        energyWh,
        priceMicroPerKwh,
      }),
    );
  }

  @Get('households/:household/limits')
  @Allow('household.read')
  @ApiOperation({ summary: 'The limits a household set last; null is the tariff' })
  async limits(@Param('household') id: string): Promise<Limits> {
    return this.market.limits(this.database, await this.householdOf(id));
  }

  @Put('households/:household/limits')
  @Allow('household.write')
  @ApiOperation({ summary: 'Set the least to sell for and the most to pay, from the next slot on' })
  @ApiBody(bodyOf(LIMITS))
  async setLimits(@Param('household') id: string, @Body() body: unknown): Promise<Limits> {
    const limits = parse(LIMITS, body);
    const household = await this.householdOf(id);
    const microgrid = await this.microgridOf(household.microgridId);
    return this.market.setLimits(microgrid, household, limits);
  }

  private async microgridOf(id: string): Promise<Microgrid> {
    const microgrid = await this.parties.microgrid(this.database, parse(ident, id));
    if (!microgrid) throw unknown('microgrid', id);
    return microgrid;
  }

  private async householdOf(id: string): Promise<Household> {
    const household = await this.parties.householdOf(this.database, parse(ident, id));
    if (!household) throw unknown('household', id);
    return household;
  }
}

function unknown(what: 'microgrid' | 'household', id: string): Problem {
  return new Problem(HttpStatus.NOT_FOUND, `unknown_${what}`, `There is no ${what} ${id}.`);
}

function positionOf(after: string | null): { slot: Instant; number: number } | null {
  if (after === null) return null;
  const [slot, number] = after.split(' ');
  return parse(POSITION, { slot, number });
}
