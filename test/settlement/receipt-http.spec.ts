import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Module, type INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { DatabaseService } from '../../src/database/database.service.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import type { Receipt } from '../../src/ledger/receipt.js';
import { OpeningService } from '../../src/ledger/opening.service.js';
import type { Grant } from '../../src/parties/access.js';
import { AccessGuard } from '../../src/parties/access.guard.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { MeterKeyService } from '../../src/parties/meter-key.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { ProblemFilter } from '../../src/parties/problem.filter.js';
import { checkReceipt } from '../../src/settlement/receipt-check.js';
import { MeterSignatureService } from '../../src/settlement/meter-signature.service.js';
import { HouseholdController } from '../../src/settlement/household.controller.js';
import { MeterDayController } from '../../src/settlement/meter-day.controller.js';
import { ReceiptController } from '../../src/settlement/receipt.controller.js';
import { ReceiptService } from '../../src/settlement/receipt.service.js';
import { SettlementService } from '../../src/settlement/settlement.service.js';
import { StatementService } from '../../src/settlement/statement.service.js';
import { describeHouseholdDoors } from './household-doors.js';
import { openRooms, type Rooms } from '../verify/rooms.js';
import { STREET, tellStreet } from '../verify/street.js';

/** Receipts over HTTP, of a street on which everything has happened, corrections included. */

let rooms: Rooms;
let app: INestApplication;
let base = '';

beforeAll(async () => {
  rooms = await openRooms();
  await tellStreet(rooms);
  // The token says who it is, padded; everything behind it is real.
  const parties = Object.assign(Object.create(rooms.parties) as PartiesService, {
    callerOf: (token: string) => Promise.resolve(callerOf(token.replaceAll('_', ''))),
  });
  @Module({
    controllers: [HouseholdController, MeterDayController, ReceiptController],
    providers: [
      { provide: DatabaseService, useValue: rooms.database },
      { provide: PartiesService, useValue: parties },
      { provide: MarketClockService, useValue: rooms.clock },
      { provide: LedgerService, useValue: rooms.ledger },
      { provide: LogService, useValue: rooms.log },
      { provide: SettlementService, useValue: rooms.settlement },
      { provide: MeteringService, useValue: rooms.metering },
      { provide: MeterKeyService, useValue: rooms.meterKeys },
      MeterSignatureService,
      OpeningService,
      StatementService,
      ReceiptService,
      { provide: APP_GUARD, useClass: AccessGuard },
      { provide: APP_FILTER, useClass: ProblemFilter },
    ],
  })
  class ReceiptsOverHttp {}
  app = await NestFactory.create(ReceiptsOverHttp, { logger: false });
  await app.listen(0, '127.0.0.1');
  base = `${await app.getUrl()}/v1/ledger/${STREET}/records`;
}, 60_000);

afterAll(async () => {
  await app?.close();
  await rooms?.close();
});

describe('the household concerned', () => {
  test('gets a receipt of every settlement, corrections included, and each holds', async () => {
    const rows = await settlements();
    expect(rows.some(({ revision }) => revision > 0)).toBe(true);
    const some = rows.filter(({ revision }, at) => revision > 0 || at % 4 === 0);
    for (const { household, sequence, netMicro, revision } of some) {
      const { status, text } = await get(sequence, household);
      expect([status, household, sequence]).toEqual([200, household, sequence]);
      const report = checkReceipt(text, rooms.log.policy(STREET));
      expect(report.misfit).toBeNull();
      expect(report.what).toMatchObject({
        kind: revision > 0 ? 'correction' : 'household-slot',
        settlement: { household, netMicro },
      });
      for (const { household: other } of rows) {
        if (other === household) continue;
        expect(text).not.toMatch(new RegExp(`["/]${other}["/]`));
      }
    }
  });

  test('gets one of every other record that concerns it, and nothing of others in it', async () => {
    const rows = await rooms.database.query<{ household: string; sequence: number; kind: string }>(
      `SELECT DISTINCT ON (kind, household_id) household_id AS household, sequence, kind
       FROM record_household JOIN record_head USING (microgrid_id, sequence)
       WHERE microgrid_id = $1 AND sequence <= $2 ORDER BY kind, household_id, sequence DESC`,
      [STREET, (await rooms.log.latestCheckpoint(rooms.database, STREET))!.size],
    );
    const kinds = new Set(rows.map(({ kind }) => kind));
    for (const kind of ['household-slot', 'trade', 'order', 'deposit', 'award', 'correction']) {
      expect([...kinds]).toContain(kind);
    }
    for (const { household, sequence } of rows) {
      const { status, text } = await get(sequence, household);
      // What happened before a tenancy began is not for the tenant.
      expect([200, 404]).toContain(status);
      if (status === 200) expect(checkReceipt(text, rooms.log.policy(STREET)).misfit).toBeNull();
    }
  });

  test('finds in it what its own meter has signed, up to the key that was registered', async () => {
    const rows = (await settlements()).filter(({ household }) => household === 'bert');
    const told = new Map<string, number>();
    const keys = new Map<string, number>();
    for (const { sequence } of rows) {
      const { text } = await get(sequence, 'bert');
      const report = checkReceipt(text, rooms.log.policy(STREET));
      const { slot } = report.what as { slot: string };
      const { signed } = JSON.parse(text) as Receipt;
      expect(text).not.toMatch(/"(otto|sun-pv|dora-grid)"/);
      told.set(slot.slice(11, 16), signed?.messages.length ?? 0);
      keys.set(slot.slice(11, 16), signed?.keys.length ?? 0);
      const vouched = /vouches for (\d+) of (\d+) readings, and (\d+) of/.exec(
        report.steps.at(-1)!.says,
      );
      // From the slot after the one in which it began to sign, every border is the meter's own word.
      if (slot >= '2026-06-01T09:15:00Z') {
        expect(vouched?.slice(1)).toEqual(['4', '4', '4']);
        expect(new Set(signed!.messages.map(({ meter }) => meter))).toEqual(new Set(['bert-grid']));
      }
    }
    expect(told.get('08:30')).toBe(0);
    expect(told.get('09:00')).toBe(1);
    // The key was replaced at the end of this one: a message under each, and both keys.
    expect(told.get('09:30')).toBe(2);
    expect(keys.get('09:30')).toBe(2);
    expect(keys.get('09:45')).toBe(1);
  });

  test('hears when, as long as no checkpoint covers the record', async () => {
    await rooms.settlement.deposit(await rooms.microgrid(STREET), await householdOf('bert'), {
      direction: 'deposit',
      amountMicro: 1,
      reference: 'not signed yet',
    });
    const last = await rooms.ledger.head(rooms.database, STREET);
    expect(problemOf(await get(last, 'bert'))).toEqual([
      409,
      'not_published_yet',
      expect.stringMatching(/ask again from 2026-06-01T12:05:00Z on/),
    ]);
  });

  test('sees nothing that its meter has signed of another tenancy', async () => {
    const [row] = await rooms.database.query<{ sequence: number }>(
      `SELECT sequence FROM settlement WHERE household_id = 'bert' AND revision = 0
       AND slot_start = '2026-06-01T11:30:00Z'`,
    );
    const record = (await rooms.ledger.recordsAt(rooms.database, STREET, [row!.sequence]))[0]!;
    const receipts = app.get(ReceiptService);
    const messagesWithin = async (from: string | null, until: string | null) => {
      const made = await receipts.receipt(record, 'bert', { from, until });
      const { text } = made as Extract<typeof made, { outcome: 'made' }>;
      expect(checkReceipt(text, rooms.log.policy(STREET)).misfit).toBeNull();
      return (JSON.parse(text) as Receipt).signed?.messages.length ?? 0;
    };
    expect(await messagesWithin(null, null)).toBe(2);
    expect(await messagesWithin('2026-06-01T11:30:00Z', '2026-06-01T11:45:00Z')).toBe(2);
    expect(await messagesWithin('2026-06-01T11:30:01Z', null)).toBe(1);
    expect(await messagesWithin(null, '2026-06-01T11:44:59Z')).toBe(1);
    expect(await messagesWithin('2026-06-01T11:31:00Z', '2026-06-01T11:44:00Z')).toBe(0);
  });

  test('still gets the same one when a neighbor was erased', async () => {
    const [{ sequence }] = (await rooms.database.query<{ sequence: number }>(
      `SELECT settlement.sequence FROM settlement JOIN trade_settlement traded
         ON traded.slot_start = settlement.slot_start AND traded.buyer_id = 'bert'
         AND traded.seller_id = 'sun' AND traded.settled_wh > 0
       WHERE household_id = 'sun' AND settlement.revision = 0 LIMIT 1`,
    )) as [{ sequence: number }];
    const before = await get(sequence, 'sun');
    const kept = (await get((await settlements()).findLast(ofBert)!.sequence, 'bert')).text;
    await rooms.asOwner(async (sql) => {
      await sql.query(`DELETE FROM record_body WHERE key_holder = 'bert'`);
      await sql.query(`DELETE FROM record_key WHERE key_holder = 'bert'`);
    });
    const after = await get(sequence, 'sun');
    expect(after).toEqual(before);
    expect(checkReceipt(after.text, rooms.log.policy(STREET)).ok).toBe(true);
    const own = (await settlements()).find(ofBert);
    expect((await get(own!.sequence, 'bert')).status).toBe(404);
    // What it has taken home holds without the service, its meter's signatures too.
    const report = checkReceipt(kept, rooms.log.policy(STREET));
    expect(report.misfit).toBeNull();
    expect(report.steps.at(-1)!.says).toContain('vouches for 4 of 4 readings');
  });
});

describe('nobody else', () => {
  test.each([
    ['nobody without a token', null, 401],
    ['no neighbor', 'cleo', 404],
    ['no regulator', 'regulator', 404],
    ['nobody of another microgrid', 'stranger', 403],
    ['no tenant who came later', 'later', 404],
    ['but the operator', 'operator', 200],
  ])('%s', async (_, who, status) => {
    const [row] = (await settlements()).filter(({ household }) => household === 'sun');
    expect((await get(row!.sequence, who)).status).toBe(status);
  });

  test('one who may read both sides says whose receipt it is to be', async () => {
    const [{ sequence }] = (await rooms.database.query<{ sequence: number }>(
      `SELECT max(sequence) AS sequence FROM trade_settlement WHERE revision = 0`,
    )) as [{ sequence: number }];
    expect(problemOf(await get(sequence, 'operator')).slice(0, 2)).toEqual([422, 'whose_receipt']);
    expect((await get(sequence, 'operator', '?household=sun')).status).toBe(200);
  });

  test.each(['0', '-1', '1.5', 'x', '9007199254740993'])('asks for record %s', async (sequence) => {
    expect((await get(sequence, 'sun')).status).toBe(400);
  });

  test('asks for a record that is none', async () => {
    expect(problemOf(await get(999_999, 'operator')).slice(0, 2)).toEqual([404, 'no_such_record']);
  });
});

describeHouseholdDoors(() => ({ rooms, base: base.slice(0, base.indexOf('/ledger')) }));

const ofBert = ({ household }: { household: string }): boolean => household === 'bert';

function settlements() {
  return rooms.database.query<{
    household: string;
    sequence: number;
    netMicro: number;
    revision: number;
  }>(
    `SELECT household_id AS household, sequence, net_micro AS "netMicro", revision
     FROM settlement WHERE microgrid_id = $1 ORDER BY sequence`,
    [STREET],
  );
}

async function householdOf(id: string) {
  return (await rooms.parties.householdOf(rooms.database, id))!;
}

async function get(sequence: number | string, who: string | null, query = '') {
  const headers = who === null ? {} : { authorization: `Bearer ${who.padEnd(24, '_')}` };
  const response = await fetch(`${base}/${sequence}/receipt${query}`, { headers });
  return { status: response.status, text: await response.text() };
}

function problemOf({ status, text }: { status: number; text: string }): [number, string, string] {
  const { code, detail } = JSON.parse(text) as { code: string; detail: string };
  return [status, code, detail];
}

function callerOf(who: string) {
  const grant = (role: Grant['role'], more: Partial<Grant> = {}): Grant => ({
    role,
    microgridId: STREET,
    householdId: null,
    validFrom: '2026-06-01T08:00:00Z',
    validUntil: null,
    ...more,
  });
  const grants: Record<string, Grant> = {
    operator: grant('operator'),
    regulator: grant('regulator'),
    stranger: grant('household', { microgridId: 'avenue', householdId: 'far' }),
    later: grant('household', { householdId: 'sun', validFrom: '2026-06-01T11:30:00Z' }),
  };
  return {
    personId: who,
    sessionId: 'session',
    expiresAt: '2099-01-01T00:00:00Z',
    mustChangePassword: false,
    grants: [grants[who] ?? grant('household', { householdId: who })],
  };
}
