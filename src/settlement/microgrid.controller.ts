import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { may } from '../parties/access.js';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Microgrid, Tariff } from '../parties/microgrid.js';
import { tariffIn } from '../parties/tariff.js';
import { pageOf, parsePage } from '../parties/page.js';
import { ident, instant, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import { formatInstant, parseInstant, slotStartOf, type Instant } from '../units/slot.js';
import { SettlementService } from './settlement.service.js';
import * as store from './settlement.store.js';

const RANGE = z.object({ from: instant.optional(), to: instant.optional() });

interface SlotRow {
  slot: Instant;
  slotEnd: Instant;
  status: string;
  clearingPriceMicroPerKwh: number | null;
  tradedWh: number;
  revision: number;
}

type ShownSlot = Omit<SlotRow, 'tradedWh'> & { tradedWh?: number; tariff: Tariff };

/** A microgrid at a glance: its rules, its clock, the tariff of the moment, and its slots. */
@ApiTags('microgrids')
@ApiBearerAuth()
@Controller('v1/microgrids/:microgrid')
export class MicrogridController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
    private readonly settlement: SettlementService,
  ) {}

  @Get()
  @Allow('microgrid.read')
  @ApiOperation({ summary: 'Rules, clock, current slot and tariff' })
  async microgrid(@Param('microgrid') id: string) {
    const microgrid = await findMicrogrid(this.parties, this.database, id);
    const { microgridId, slotMinutes } = microgrid;
    const now = await this.clock.now();
    const start = slotStartOf(parseInstant(now), slotMinutes);
    const slot = {
      start: formatInstant(start),
      end: formatInstant(start + slotMinutes * 60_000),
    };
    const { households } = await this.parties.members(this.database, microgridId, slot.start);
    return {
      microgrid: microgridId,
      name: microgrid.name,
      timeZone: microgrid.timeZone,
      currency: microgrid.currency,
      slotMinutes,
      mechanism: microgrid.mechanism,
      pricing: microgrid.pricing,
      graceSeconds: microgrid.graceSeconds,
      gateClosureSeconds: microgrid.gateClosureSeconds,
      startsAt: microgrid.startsAt,
      households: households.length,
      now,
      clock: this.clock.mode,
      slot,
      tariff: await this.parties.tariffAt(this.database, microgridId, slot.start),
      closedThrough: await this.settlement.closedThrough(this.database, microgridId),
    };
  }

  @Get('slots')
  @Allow('microgrid.read')
  @ApiOperation({
    summary: 'Slots that have passed their gate, newest first',
    description:
      'With the energy traded for members and operators; to a regulator energy is told by the month alone, to an auditor in manifests.',
  })
  async slots(
    @Param('microgrid') id: string,
    @Query() query: unknown,
    @CurrentCaller() { grants }: Caller,
  ) {
    const { microgridId, timeZone } = await findMicrogrid(this.parties, this.database, id);
    const isMember = may(grants, 'market.read', { microgrid: id }, await this.clock.now());
    const { limit, after } = parsePage(query);
    const { from, to } = parse(RANGE, query);
    const rows = await this.database.query<SlotRow>(store.SLOTS_BETWEEN, [
      microgridId,
      from ?? null,
      to ?? null,
      after === null ? null : parse(instant, after),
      limit + 1,
    ]);
    const [newest, oldest] = [rows.at(0)?.slotEnd, rows.at(-1)?.slot];
    const versions =
      newest !== undefined && oldest !== undefined
        ? await this.parties.tariffsBetween(this.database, microgridId, oldest, newest)
        : [];
    return pageOf(
      rows,
      limit,
      ({ slot }) => slot,
      (row): ShownSlot => ({
        ...shown(row, isMember),
        tariff: tariffIn(versions, timeZone, row.slot),
      }),
    );
  }
}

/** Why a slot is quarantined is for its operator, its energy for those who may read the market. */
function shown(row: SlotRow, isMember: boolean): Omit<ShownSlot, 'tariff'> {
  const { slot, slotEnd, status, clearingPriceMicroPerKwh, tradedWh, revision } = row;
  const told = { slot, slotEnd, status, clearingPriceMicroPerKwh, revision };
  return isMember ? { ...told, tradedWh } : told;
}

/** @throws Problem 404 when there is none */
export async function findMicrogrid(
  parties: PartiesService,
  database: DatabaseService,
  id: string,
): Promise<Microgrid> {
  const microgrid = await parties.microgrid(database, parse(ident, id));
  if (!microgrid) {
    throw new Problem(404, 'no_such_microgrid', `There is no microgrid ${id} that you may see.`);
  }
  return microgrid;
}
