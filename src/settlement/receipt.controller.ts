import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { concernedBy } from '../ledger/concerned.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { accessPeriod } from '../parties/access.js';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { ident, parse } from '../parties/parse.js';
import { Problem } from '../units/problem.js';
import { ReceiptService } from './receipt.service.js';

const PATH = z.object({
  microgrid: ident,
  sequence: z.coerce.number().int('must be a whole number').min(1).max(Number.MAX_SAFE_INTEGER),
});
const WHOSE = z.object({ household: ident.optional() });

/** Receipts of records, to the households that they concern. */
@ApiTags('ledger')
@ApiBearerAuth()
@Controller('v1/ledger/:microgrid/records/:sequence/receipt')
export class ReceiptController {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly clock: MarketClockService,
    private readonly receipts: ReceiptService,
  ) {}

  @Get()
  @Allow('ledger.read')
  @ApiOperation({
    summary: 'A receipt to keep: what happened, and the proof that the log holds it',
    description:
      "One JSON file that anybody can check offline, with `npm run verify -- receipt` or the page `/verify`: the opened fields of the record with their salts, the entry of the log that they hash to, and a C2SP tlog-proof. A settlement's receipt holds those of the slot's trades too, and the messages that the household's meters have signed of its readings, with the records of their keys. A neighbor's id and side stay closed. 409 until a published checkpoint covers the record.",
  })
  @ApiQuery({
    name: 'household',
    required: false,
    description: 'Whose receipt, where the record concerns several of yours',
  })
  async receipt(
    @Param() params: unknown,
    @Query() query: unknown,
    @CurrentCaller() caller: Caller,
    @Res() response: Response,
  ): Promise<void> {
    const { microgrid, sequence } = parse(PATH, params);
    const { household: wanted } = parse(WHOSE, query);
    const [record] = await this.ledger.recordsAt(this.database, microgrid, [sequence]);
    const now = await this.clock.now();
    const concerned = record ? concernedBy(record, caller.grants, now) : [];
    const own = concerned.filter((household) => wanted === undefined || household === wanted);
    if (!record || own.length === 0) throw noRecord(sequence);
    if (own.length > 1) {
      throw new Problem(
        422,
        'whose_receipt',
        `Record ${sequence} concerns several households that you may read: add ?household=.`,
      );
    }
    const [household] = own;
    const tenancy = accessPeriod(caller.grants, { microgrid, household: household! }, now);
    if (!tenancy) throw noRecord(sequence);
    const result = await this.receipts.receipt(record, household!, tenancy);
    if (result.outcome === 'no_such_record') throw noRecord(sequence);
    if (result.outcome === 'not_published_yet') throw notPublished(sequence, result.due);
    response
      .type('application/json')
      .setHeader('cache-control', 'private, no-store')
      .attachment(`receipt-${microgrid}-${household}-${sequence}.json`)
      .send(result.text);
  }
}

function noRecord(sequence: number): Problem {
  return new Problem(404, 'no_such_record', `There is no record ${sequence} that you may see.`);
}

function notPublished(sequence: number, due: string | null): Problem {
  const when = due === null ? 'once the first slot has closed' : `from ${due} on`;
  return new Problem(
    409,
    'not_published_yet',
    `No published checkpoint covers record ${sequence} yet. One is published each time a slot has closed and the witnesses have cosigned: ask again ${when}.`,
  );
}
