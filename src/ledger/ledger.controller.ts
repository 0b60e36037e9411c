import { Controller, Get, Param } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { may } from '../parties/access.js';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { ident, parse } from '../parties/parse.js';
import { formatTlogProof } from '../transparency/tlog-proof.js';
import { leafHash } from '../transparency/merkle-tree.js';
import type { Json, JsonObject } from '../units/canonical-json.js';
import { Problem } from '../units/problem.js';
import { concernedBy } from './concerned.js';
import { LedgerService } from './ledger.service.js';
import { LogService } from './log.service.js';
import type { StoredRecord } from './record.js';

const PATH = z.object({
  microgrid: ident,
  sequence: z.coerce.number().int('must be a whole number').min(1).max(Number.MAX_SAFE_INTEGER),
});

/** Records and their inclusion proofs, to those whom a record concerns. */
@ApiTags('ledger')
@ApiBearerAuth()
@Controller('v1/ledger/:microgrid/records/:sequence')
export class LedgerController {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly log: LogService,
    private readonly clock: MarketClockService,
  ) {}

  @Get()
  @Allow('ledger.read')
  @ApiOperation({ summary: 'A record as the caller may see it' })
  async record(@Param() params: unknown, @CurrentCaller() caller: Caller) {
    const { microgrid, sequence } = parse(PATH, params);
    const [record] = await this.ledger.records(this.database, microgrid, {
      since: sequence - 1,
      limit: 1,
    });
    const shown =
      record?.sequence === sequence
        ? await this.asSeenBy(caller, record, await this.clock.now())
        : null;
    if (!shown) throw noRecord(sequence);
    return shown;
  }

  @Get('proof')
  @Allow('ledger.read')
  @ApiOperation({ summary: "That a record's entry stands in the log: a C2SP tlog-proof" })
  async proof(@Param() params: unknown) {
    const { microgrid, sequence } = parse(PATH, params);
    const checkpoint = await this.log.publishedCovering(this.database, microgrid, sequence);
    if (!checkpoint) {
      throw new Problem(
        404,
        'not_in_a_checkpoint',
        `No published checkpoint covers record ${sequence} yet. Ask again after the slot has closed.`,
      );
    }
    const index = sequence - 1;
    const [entry, hashes] = await Promise.all([
      this.log.entry(this.database, microgrid, index),
      this.log.proveInclusion(this.database, microgrid, sequence, checkpoint.size),
    ]);
    return {
      sequence,
      index,
      size: checkpoint.size,
      entry: base64(entry),
      leafHash: base64(leafHash(entry)),
      hashes: hashes.map(base64),
      checkpoint: checkpoint.note,
      tlogProof: formatTlogProof({ index, hashes, checkpoint: checkpoint.note }),
    };
  }

  /** Null where the caller may not know of it: an operator sees all, a household what concerns it. */
  private async asSeenBy(
    caller: Caller,
    record: StoredRecord,
    now: string,
  ): Promise<StoredRecord | null> {
    const { microgridId: microgrid } = record;
    if (may(caller.grants, 'operator.read', { microgrid }, now)) return record;
    if (record.kind === 'tariff') return record;
    // A slot's sums are for its members; a regulator's figures stand under the privacy rule.
    const isMember = may(caller.grants, 'market.read', { microgrid }, now);
    if (record.kind === 'slot-closed' && isMember) return record;
    const own = concernedBy(record, caller.grants, now);
    if (own.length === 0) return null;
    return { ...record, ...withoutOthers(record, new Set(own)) };
  }
}

/** A household sees its own side: other households' ids become null, and their transfers go. */
function withoutOthers(
  record: StoredRecord,
  own: ReadonlySet<string>,
): Pick<StoredRecord, 'households' | 'facts' | 'transfers'> {
  const others = record.households.filter((household) => !own.has(household));
  if (others.length === 0) return record;
  const hidden = new Set(others);
  const facts = redacted(record.facts, own, hidden) as JsonObject;
  const mine = (account: string) => [...own].some((id) => account.startsWith(`household/${id}/`));
  return {
    households: [...own],
    facts,
    transfers: record.transfers
      .filter(({ debit, credit }) => mine(debit) || mine(credit))
      .map((transfer) => ({
        ...transfer,
        debit: hiddenAccount(transfer.debit, hidden),
        credit: hiddenAccount(transfer.credit, hidden),
      })),
  };
}

/** Without the ids of others; rows of a list that are about others alone are left out. */
function redacted(value: Json, own: ReadonlySet<string>, hidden: ReadonlySet<string>): Json {
  if (typeof value === 'string') return hidden.has(value) ? null : value;
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) {
    return value
      .filter((row: Json) => !mentions(row, hidden) || mentions(row, own))
      .map((row: Json) => redacted(row, own, hidden));
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, redacted(inner, own, hidden)]),
  );
}

function mentions(value: Json, ids: ReadonlySet<string>): boolean {
  if (typeof value === 'string') return ids.has(value);
  if (value === null || typeof value !== 'object') return false;
  return Object.values(value).some((inner: Json) => mentions(inner, ids));
}

function hiddenAccount(account: string, hidden: ReadonlySet<string>): string {
  const [kind, owner, purpose] = account.split('/');
  return kind === 'household' && hidden.has(owner ?? '') ? `neighbor/${purpose}` : account;
}

function noRecord(sequence: number): Problem {
  return new Problem(404, 'no_such_record', `There is no record ${sequence} that you may see.`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
