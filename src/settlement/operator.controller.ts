import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow } from '../parties/access.decorator.js';
import { pageOf, parsePage } from '../parties/page.js';
import { ident, instant, parse, positive } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import { findMicrogrid } from './microgrid.controller.js';
import { SettlementService } from './settlement.service.js';
import * as store from './settlement.store.js';
import { SlotClockService } from './slot-clock.service.js';

const CLOCK = z.object({ now: instant });
const DEPOSIT = z.object({
  household: ident,
  direction: z.enum(['deposit', 'payout']),
  amountMicro: positive,
  reference: z.string().min(1, 'must not be empty').max(200, 'must have at most 200 characters'),
});

interface HouseholdBill {
  household: string;
  costMicro: number;
  tariffCostMicro: number;
  /** Taken from and given to the utility. */
  withGridWh: number;
}

/** What operators do with slots and money, and how the simulated clock is moved. */
@ApiTags('operator')
@ApiBearerAuth()
@Controller('v1/operator')
export class SettlementOperatorController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly settlement: SettlementService,
    private readonly slots: SlotClockService,
  ) {}

  @Post('clock')
  @HttpCode(200)
  @Allow('clock.advance')
  @ApiOperation({ summary: 'Moves the simulated clock and settles what is due by then' })
  @ApiBody({
    schema: {
      type: 'object',
      required: ['now'],
      properties: { now: { type: 'string', format: 'date-time' } },
    },
  })
  async clock(@Body() body: unknown) {
    return this.slots.advance(parse(CLOCK, body).now);
  }

  @Get('microgrids/:microgrid/summary')
  @Allow('operator.read')
  @ApiOperation({ summary: 'Energy, market, money and ledger of the whole microgrid in figures' })
  async summary(@Param('microgrid') id: string) {
    return this.settlement.summary(await findMicrogrid(this.parties, this.database, id));
  }

  @Get('microgrids/:microgrid/bills')
  @Allow('operator.read')
  @ApiOperation({ summary: 'What each household paid in all, beside the same by the tariff' })
  async bills(@Param('microgrid') id: string, @Query() query: unknown) {
    const { microgridId } = await findMicrogrid(this.parties, this.database, id);
    const { limit, after } = parsePage(query);
    const rows = await this.database.query<HouseholdBill>(store.BILLS, [
      microgridId,
      after ?? '',
      limit + 1,
    ]);
    return pageOf(
      rows,
      limit,
      ({ household }) => household,
      (bill) => bill,
    );
  }

  @Get('microgrids/:microgrid/slots')
  @Allow('operator.read')
  @ApiOperation({ summary: 'Slots with their state; a quarantined one with its reason' })
  async slotList(@Param('microgrid') id: string, @Query() query: unknown) {
    const { microgridId } = await findMicrogrid(this.parties, this.database, id);
    const { limit, after } = parsePage(query);
    const rows = await this.database.query<{ slot: Instant }>(store.SLOTS_BETWEEN, [
      microgridId,
      null,
      null,
      after === null ? null : parse(instant, after),
      limit + 1,
    ]);
    return pageOf(
      rows,
      limit,
      ({ slot }) => slot,
      (slot) => slot,
    );
  }

  @Post('microgrids/:microgrid/slots/:slot/release')
  @HttpCode(200)
  @Allow('operator.write')
  @ApiOperation({ summary: 'Tries a quarantined slot again' })
  async release(@Param('microgrid') id: string, @Param('slot') slot: string) {
    const microgrid = await findMicrogrid(this.parties, this.database, id);
    const slotStart = parse(instant, slot);
    const [known] = await this.database.query<{ status: string }>(store.SLOT, [
      microgrid.microgridId,
      slotStart,
    ]);
    if (known?.status !== 'quarantined') {
      throw new Problem(409, 'not_quarantined', `Slot ${slotStart} is not quarantined.`);
    }
    await this.slots.release(microgrid, slotStart);
    return { slot: slotStart, status: 'closed' };
  }

  @Post('microgrids/:microgrid/deposits')
  @Allow('deposit.write')
  @ApiOperation({ summary: "Books money into or out of a household's wallet, once a reference" })
  async deposit(@Param('microgrid') id: string, @Body() body: unknown) {
    const microgrid = await findMicrogrid(this.parties, this.database, id);
    const { household: householdId, ...request } = parse(DEPOSIT, body);
    const household = await this.parties.householdOf(this.database, householdId);
    if (household?.microgridId !== microgrid.microgridId) {
      throw new Problem(404, 'no_such_household', `${id} has no household ${householdId}.`);
    }
    const outcome = await this.settlement.deposit(microgrid, household, request);
    switch (outcome) {
      case 'booked':
      case 'already_booked':
        return { household: householdId, ...request, outcome };
      case 'other_deposit':
        throw new Problem(
          409,
          outcome,
          `Reference ${request.reference} was booked with another amount. Use a new reference.`,
        );
      case 'exceeds_balance':
        throw new Problem(
          409,
          outcome,
          'The wallet does not have that much beyond its holds. Pay out less.',
        );
    }
  }
}
