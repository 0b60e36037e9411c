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
import type { StandingWish } from './limits.js';

const limitPrice = z
  .int('must be a whole number of micro-units per kWh')
  .min(0)
  .max(1_000_000_000)
  .nullable()
  .default(null);
const premiumMicroPerKwh = z
  .int('must be a whole number of micro-units per kWh')
  .min(1)
  .max(1_000_000_000);
const WISH = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('neighbor'),
    alias: z.string().min(1).max(100),
    premiumMicroPerKwh,
  }),
  z.strictObject({ kind: z.enum(['feeder', 'solar']), premiumMicroPerKwh }),
]);

// Strict: a misspelt limit would otherwise be taken for one that is given up.
const LIMITS = z.strictObject({
  sellAboveMicroPerKwh: limitPrice,
  buyBelowMicroPerKwh: limitPrice,
  wishes: z.array(WISH).max(8, 'at most eight').default([]),
});

const BOOK = z.object({ slot: instant.optional() });
const POSITION = z.object({ slot: instant, number: z.coerce.number().int().min(0) });

interface OrderBook {
  slot: Instant;
  bids: PriceLevel[];
  asks: PriceLevel[];
}

/** As a household reads its limits: a neighbor by the name it goes by. */
type NamedLimits = z.infer<typeof LIMITS> & { validFrom: Instant };

interface TapeItem {
  /** Its id, which names nobody; trades of one record share their sequence. */
  trade: string;
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
      ({ trade, sequence, slot, energyWh, priceMicroPerKwh }) => ({
        trade,
        sequence,
        slot,
        energyWh,
        priceMicroPerKwh,
      }),
    );
  }

  @Get('households/:household/limits')
  @Allow('household.read')
  @ApiOperation({ summary: 'The limits and wishes a household set last; null is the tariff' })
  async limits(@Param('household') id: string): Promise<NamedLimits> {
    const household = await this.householdOf(id);
    return this.named(household, await this.market.limits(this.database, household));
  }

  @Put('households/:household/limits')
  @Allow('household.write')
  @ApiOperation({
    summary:
      'Set the least to sell for, the most to pay, and what to prefer, from the next slot on',
  })
  @ApiBody(bodyOf(LIMITS))
  async setLimits(@Param('household') id: string, @Body() body: unknown): Promise<NamedLimits> {
    const { wishes: named, ...prices } = parse(LIMITS, body);
    const household = await this.householdOf(id);
    const microgrid = await this.microgridOf(household.microgridId);
    if (named.length > 0 && !countsWishes(microgrid)) {
      const detail = 'Wishes count where trades are made of what was metered, at clearing prices.';
      throw new Problem(HttpStatus.UNPROCESSABLE_ENTITY, 'wishes_do_not_count', detail);
    }
    const wishes = await this.known(household, named);
    return this.named(
      household,
      await this.market.setLimits(microgrid, household, { ...prices, wishes }),
    );
  }

  /** The wishes with their neighbors' ids. @throws Problem for a name nobody has */
  private async known(
    { microgridId, householdId }: Household,
    wishes: z.infer<typeof LIMITS>['wishes'],
  ): Promise<StandingWish[]> {
    const aliases = wishes.flatMap((wish) => (wish.kind === 'neighbor' ? [wish.alias] : []));
    const neighbors = await this.parties.neighbors(this.database, microgridId, { aliases });
    return wishes.map((wish) => {
      if (wish.kind !== 'neighbor') return wish;
      const neighbor = neighbors.find(({ alias }) => alias === wish.alias);
      if (!neighbor || neighbor.householdId === householdId) {
        const detail = `There is no neighbor by the name "${wish.alias}".`;
        throw new Problem(HttpStatus.UNPROCESSABLE_ENTITY, 'unknown_neighbor', detail);
      }
      const { premiumMicroPerKwh } = wish;
      return { kind: 'neighbor', household: neighbor.householdId, premiumMicroPerKwh };
    });
  }

  private async named({ microgridId }: Household, limits: Limits): Promise<NamedLimits> {
    const ids = limits.wishes.flatMap((wish) => (wish.kind === 'neighbor' ? [wish.household] : []));
    const neighbors = await this.parties.neighbors(this.database, microgridId, { ids });
    const aliasOf = new Map(neighbors.map(({ householdId, alias }) => [householdId, alias]));
    const wishes = limits.wishes.map((wish) => {
      if (wish.kind !== 'neighbor') return wish;
      const { kind, household, premiumMicroPerKwh } = wish;
      return { kind, alias: aliasOf.get(household) ?? household, premiumMicroPerKwh };
    });
    return { ...limits, wishes };
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

function countsWishes({ mechanism, pricing }: Microgrid): boolean {
  return mechanism === 'metered' && pricing === 'clearing';
}

function unknown(what: 'microgrid' | 'household', id: string): Problem {
  return new Problem(HttpStatus.NOT_FOUND, `unknown_${what}`, `There is no ${what} ${id}.`);
}

function positionOf(after: string | null): { slot: Instant; number: number } | null {
  if (after === null) return null;
  const [slot, number] = after.split(' ');
  return parse(POSITION, { slot, number });
}
