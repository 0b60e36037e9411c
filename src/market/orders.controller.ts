import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpStatus,
  Param,
  Post,
  Query,
  Res,
} from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { z } from 'zod';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import { bodyOf } from '../parties/openapi.js';
import { pageOf, parsePage, type Page } from '../parties/page.js';
import { ident, instant, parse } from '../parties/parse.js';
import { Problem } from '../units/problem.js';
import {
  MAX_DAYS_AHEAD,
  MAX_OPEN_ORDERS,
  TIMES_IN_FORCE,
  type Order,
  type Refusal,
} from './order.js';
import { OrderService } from './order.service.js';

// Beyond any household and any currency, and small enough that a cost stays exact.
const MOST_WH = 1_000_000_000;
const MOST_MICRO_PER_KWH = 1_000_000_000;

const ORDER = z.object({
  microgrid: ident,
  household: ident,
  slot: instant,
  side: z.enum(['bid', 'ask']),
  energyWh: z.int('must be a whole number of Wh').min(-MOST_WH).max(MOST_WH),
  priceMicroPerKwh: z
    .int('must be a whole number of micro-units per kWh')
    .min(0)
    .max(MOST_MICRO_PER_KWH),
  delivery: z.enum(['delivered', 'firm']).default('delivered'),
  timeInForce: z.enum(TIMES_IN_FORCE).default('gtc'),
});

const KEY = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, 'must be 1 to 200 printable characters without spaces');

const ORDER_ID = z.string().regex(/^[0-9a-f]{32}$/, 'must be the id of an order');

const FILTER = z.object({
  household: ident.optional(),
  slot: instant.optional(),
  status: z.enum(['open', 'filled', 'partly-filled', 'unfilled', 'cancelled']).optional(),
});

const POSITION = z.object({ sequence: z.coerce.number().int().min(0), id: ORDER_ID });

/** What a refused order is answered. */
const REFUSED: Record<Refusal, { status: number; detail: string }> = {
  idempotency_conflict: {
    status: HttpStatus.CONFLICT,
    detail: 'This Idempotency-Key was used for another order. Send a new key for a new order.',
  },
  mechanism_takes_no_orders: {
    status: HttpStatus.CONFLICT,
    detail: 'This microgrid trades what is metered, without orders. Set your limits instead.',
  },
  never_at_once: {
    status: HttpStatus.UNPROCESSABLE_ENTITY,
    detail:
      'In this microgrid all orders of a slot meet at its gate, none at once: leave out timeInForce.',
  },
  unknown_slot: {
    status: HttpStatus.UNPROCESSABLE_ENTITY,
    detail: `No such slot for this household: give the start of one of its slots, at most ${MAX_DAYS_AHEAD} days ahead.`,
  },
  gate_closed: {
    status: HttpStatus.CONFLICT,
    detail: 'The gate of this slot has closed. Choose a later slot.',
  },
  price_outside_tariffs: {
    status: HttpStatus.UNPROCESSABLE_ENTITY,
    detail: 'The price must lie between the feed-in and the retail tariff of the slot.',
  },
  energy_not_positive: {
    status: HttpStatus.UNPROCESSABLE_ENTITY,
    detail: 'The energy must be at least 1 Wh.',
  },
  above_connection_limit: {
    status: HttpStatus.UNPROCESSABLE_ENTITY,
    detail: 'With its other orders for the slot this is more than the connection can carry.',
  },
  opposite_side_open: {
    status: HttpStatus.CONFLICT,
    detail: 'The household has open orders on the other side of this slot. Cancel them first.',
  },
  too_many_orders: {
    status: HttpStatus.CONFLICT,
    detail: `The household has ${MAX_OPEN_ORDERS} open orders for this slot. Cancel one first.`,
  },
  exceeds_balance: {
    status: HttpStatus.UNPROCESSABLE_ENTITY,
    detail: 'The wallet does not cover what this order could cost. Pay in, or order less.',
  },
};

/** Orders ahead: placed once however often sent, listed, and cancelled until their gate closes. */
@ApiTags('market')
@ApiBearerAuth()
@Controller('v1/orders')
export class OrdersController {
  constructor(private readonly market: OrderService) {}

  /** 201 for a new order, 200 where the same request was accepted before. */
  @Post()
  @Allow('order.write')
  @ApiOperation({ summary: 'Place an order for a coming slot' })
  @ApiHeader({ name: 'Idempotency-Key', required: true })
  @ApiBody(bodyOf(ORDER))
  async place(
    @Body() body: unknown,
    @Headers('idempotency-key') key: string | undefined,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Order> {
    const { timeInForce, ...rest } = parse(ORDER, body);
    const request = timeInForce === 'gtc' ? rest : { ...rest, timeInForce };
    const placed = await this.market.placeOrder(caller, request, keyOf(key));
    if (placed.outcome !== 'accepted') {
      const { status, detail } = REFUSED[placed.outcome];
      throw new Problem(status, placed.outcome, detail);
    }
    response.status(placed.repeated ? HttpStatus.OK : HttpStatus.CREATED);
    return placed.order;
  }

  /** The caller's own orders; of another household, where the caller may read its orders. */
  @Get()
  @Allow('self')
  @ApiOperation({ summary: 'List orders, newest first' })
  async list(@Query() query: unknown, @CurrentCaller() caller: Caller): Promise<Page<Order>> {
    const { limit, after } = parsePage(query);
    const { household = null, slot = null, status = null } = parse(FILTER, query);
    const rows = await this.market.orders(caller, {
      household,
      slot,
      status,
      limit,
      after: after === null ? null : positionOf(after),
    });
    if (rows === null) {
      throw new Problem(HttpStatus.FORBIDDEN, 'forbidden', 'Your grants do not allow this.');
    }
    return pageOf(
      rows,
      limit,
      ({ sequence, id }) => `${sequence}.${id}`,
      (order) => order,
    );
  }

  @Delete(':id')
  @Allow('self')
  @ApiOperation({ summary: 'Cancel an open order' })
  async cancel(@Param('id') id: string, @CurrentCaller() caller: Caller): Promise<Order> {
    const cancelled = await this.market.cancelOrder(caller, parse(ORDER_ID, id));
    switch (cancelled.outcome) {
      case 'cancelled':
        return cancelled.order;
      case 'unknown_order':
        throw new Problem(HttpStatus.NOT_FOUND, 'unknown_order', 'You have no order of this id.');
      case 'order_ended':
        throw new Problem(
          HttpStatus.CONFLICT,
          'order_ended',
          'Nothing of this order is left to cancel: what was traded stays traded.',
        );
      case 'gate_closed':
        throw new Problem(
          HttpStatus.CONFLICT,
          'gate_closed',
          'The gate of its slot has closed: this order can no longer be cancelled.',
        );
    }
  }
}

function keyOf(header: string | undefined): string {
  if (header === undefined) {
    throw new Problem(
      HttpStatus.BAD_REQUEST,
      'idempotency_key_missing',
      'Send an Idempotency-Key header: a new one for each order, the same one to repeat it.',
    );
  }
  return parse(z.object({ 'Idempotency-Key': KEY }), { 'Idempotency-Key': header })[
    'Idempotency-Key'
  ];
}

function positionOf(after: string): { sequence: number; id: string } {
  const [sequence, id] = after.split('.');
  return parse(POSITION, { sequence, id });
}
