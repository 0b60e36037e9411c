import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { may, type Period } from '../parties/access.js';
import { Allow, CurrentCaller, CurrentPeriod, type Caller } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Microgrid } from '../parties/microgrid.js';
import { pageOf, parsePage, type Page } from '../parties/page.js';
import { ident, instant, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { FairnessService, type FairnessOutcome } from './fairness.service.js';
import { findMicrogrid } from './microgrid.controller.js';
import {
  nodeFairness,
  orderFairness,
  regulatorFairness,
  slotFairness,
  type ExplainedSlot,
} from './slot-fairness.js';

const SLOT = z.object({ microgrid: ident, slot: instant });
const ASKED = z.object({ slot: instant.optional() });

/** Each slot of a page is explained from its records. */
const MOST_SLOTS = 48;
/** Of one slot; a household that placed more is told how many. */
const MOST_ORDERS = 200;

const EVER: Period = { from: null, until: null };

/** Whether a slot's market did what it could, and why a household's orders fared as they did. */
@ApiTags('fairness')
@ApiBearerAuth()
@Controller('v1')
export class FairnessController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
    private readonly fairness: FairnessService,
  ) {}

  @Get('microgrids/:microgrid/slots/:slot/fairness')
  @Allow('fairness.read')
  @ApiOperation({
    summary: 'What a slot’s market reached, and what its orders made possible',
    description:
      'Volume, welfare, the competitive interval and the rule of the price, and under `nodes`, page by page, the price of each node of the network with what its wire carried. Without names. A regulator is told the price, its rule and the share of the possible welfare, no energy. 404 until the orders of the slot have met; 410 where a household of the slot has been erased.',
  })
  async slot(@Param() params: unknown, @Query() query: unknown, @CurrentCaller() caller: Caller) {
    const { microgrid: id, slot: start } = parse(SLOT, params);
    const { limit, after } = parsePage(query);
    const microgrid = await findMicrogrid(this.parties, this.database, id);
    const slot = explained(await this.fairness.explain(microgrid, start), start);
    const now = await this.clock.now();
    if (!may(caller.grants, 'market.read', { microgrid: id }, now)) return regulatorFairness(slot);
    const nodes = nodeFairness(slot).filter(({ node }) => after === null || node > after);
    return {
      ...slotFairness(slot),
      nodes: pageOf(
        nodes.slice(0, limit + 1),
        limit,
        ({ node }) => node,
        (node) => node,
      ),
    };
  }

  @Get('microgrids/:microgrid/fairness')
  @Allow('fairness.read')
  @ApiOperation({
    summary: 'The same slot by slot, newest first, nodes left out',
    description: `At most ${MOST_SLOTS} slots a page. A slot with an erased household in it is left out.`,
  })
  async slots(
    @Param('microgrid') id: string,
    @Query() query: unknown,
    @CurrentCaller() caller: Caller,
  ) {
    const microgrid = await findMicrogrid(this.parties, this.database, id);
    const now = await this.clock.now();
    const isMember = may(caller.grants, 'market.read', { microgrid: id }, now);
    return this.page(microgrid, EVER, query, (slot) =>
      isMember ? slotFairness(slot) : regulatorFairness(slot),
    );
  }

  @Get('households/:household/fairness')
  @Allow('household.read')
  @ApiOperation({
    summary: 'Why the household’s orders were filled, in part or not, slot by slot, newest first',
    description: `Each reason has a code, the energy it explains, its figures, and plain words; the energies of an order’s reasons sum to what it wanted. At most ${MOST_SLOTS} slots a page, and ${MOST_ORDERS} orders a slot. A slot with an erased household in it is left out, or 410 where it is asked for alone.`,
  })
  @ApiQuery({ name: 'slot', required: false, description: 'The start of one slot' })
  async household(
    @Param('household') id: string,
    @Query() query: unknown,
    @CurrentPeriod() period: Period,
  ) {
    const { microgrid, householdId } = await this.find(id);
    const { slot: asked } = parse(ASKED, query);
    if (asked !== undefined) {
      if (!isWithin(period, asked)) throw notCleared(asked);
      const slot = explained(await this.fairness.explain(microgrid, asked), asked);
      return { items: [householdItem(slot, householdId)], next: null };
    }
    return this.page(microgrid, period, query, (slot) => householdItem(slot, householdId));
  }

  /** A page of slots, newest first, those that can no longer be told left out. */
  private async page<Item>(
    microgrid: Microgrid,
    period: Period,
    query: unknown,
    itemOf: (slot: ExplainedSlot) => Item,
  ): Promise<Page<Item>> {
    const { limit: wanted, after } = parsePage(query);
    const limit = Math.min(wanted, MOST_SLOTS);
    const cleared = await this.fairness.clearedSlots(microgrid.microgridId, period, {
      after: after === null ? null : parse(instant, after),
      limit,
    });
    const page = pageOf(
      cleared,
      limit,
      ({ slot }) => slot,
      (row) => row,
    );
    const items: Item[] = [];
    for (const row of page.items) {
      const told = await this.fairness.explainCleared(microgrid, row);
      if (told.outcome === 'explained') items.push(itemOf(told.slot));
    }
    return { items, next: page.next };
  }

  private async find(id: string): Promise<{ microgrid: Microgrid; householdId: string }> {
    const household = await this.parties.householdOf(this.database, parse(ident, id));
    const microgrid =
      household && (await this.parties.microgrid(this.database, household.microgridId));
    if (!household || !microgrid) {
      throw new Problem(404, 'no_such_household', 'There is no such household that you may see.');
    }
    return { microgrid, householdId: household.householdId };
  }
}

function householdItem(slot: ExplainedSlot, household: string) {
  const orders = orderFairness(slot, household);
  return {
    household,
    ...slotFairness(slot),
    orders: orders.slice(0, MOST_ORDERS),
    ordersInAll: orders.length,
  };
}

/** @throws Problem 404 or 410 */
function explained(told: FairnessOutcome, slot: Instant): ExplainedSlot {
  switch (told.outcome) {
    case 'explained':
      return told.slot;
    case 'not_cleared_yet':
      throw notCleared(slot);
    case 'erased_in_part':
      throw new Problem(
        410,
        'erased_in_part',
        `A household of slot ${slot} has been erased with its orders: what was possible can no longer be told.`,
      );
  }
}

function notCleared(slot: Instant): Problem {
  return new Problem(
    404,
    'not_cleared_yet',
    `No orders have met for slot ${slot} that you may see. Ask again once its gate or the slot has closed.`,
  );
}

function isWithin({ from, until }: Period, slot: Instant): boolean {
  const at = parseInstant(slot);
  return (
    (from === null || at >= parseInstant(from)) && (until === null || at < parseInstant(until))
  );
}
