import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { JsonObject } from '../../src/units/canonical-json.js';
import type { Finding } from '../../src/verify/finding.js';
import type { MicrogridReport } from '../../src/verify/verification.service.js';
import { VerifyService } from '../../src/verify/verify.service.js';
import {
  ALIAS,
  erase,
  MEWS,
  PERSON,
  tellLeaving,
  waitForFinality,
  withErasure,
  YARD,
  type Place,
} from './leaving.js';
import { readBody, reseal, rewrite } from './resealing.js';
import { openRooms, type Rooms } from './rooms.js';
import { changesOf, readColumns, undone } from './tampering.js';

/** A household that has gone is erased, and the rest still tells the whole story. */
describe.each([YARD, MEWS])('in the $microgrid ($mechanism)', (place) => {
  const { microgrid, gone, stays } = place;
  let rooms: Rooms;
  let personal: string[];
  let neighborBefore: unknown;
  let before: MicrogridReport;

  beforeAll(async () => {
    rooms = await openRooms();
    await tellLeaving(rooms, place);
  });
  afterAll(() => rooms.close());

  const verify = () => new VerifyService(rooms.database).verify(microgrid, rooms.log);

  it('is not erased before its final settlement, and is told why', async () => {
    await expect(erase(rooms, stays[0])).rejects.toThrow(
      `${stays[0]} cannot be erased: it has not moved out`,
    );
    await expect(erase(rooms, 'nobody')).rejects.toThrow('There is no household nobody');
    await expect(erase(rooms, gone)).rejects.toThrow(
      /late readings may correct its slots until slots are settled up to 2026-06-02T12:00:00Z; they are up to 2026-06-01T12:00:00Z/,
    );
    await waitForFinality(rooms);
    await rooms.log.sign(rooms.database, microgrid);
    before = await verify();
    expect(before.findings).toEqual([]);
    expect(await story(rooms, place)).toEqual({ sold: true, bought: true, corrected: true });
    personal = await personalTexts(rooms, gone);
    expect(personal.length).toBeGreaterThan(20);
    neighborBefore = await neighborView(rooms, microgrid, stays[0], before.records);
    expect(found(personal, await dump(rooms))).toEqual(personal);
  });

  it('a dry run says what would go, and nothing goes', async () => {
    const all = await dump(rooms);
    const { rows, sequence } = await erase(rooms, gone, true);
    expect(rows).toMatchObject({ keys: 1, meters: 3, borders: expect.any(Number) });
    expect(rows['records']).toBeGreaterThan(8);
    expect(rows['readings']).toBeGreaterThan(20);
    expect(sequence).toBe(before.records + 1);
    expect(await dump(rooms)).toBe(all);
  });

  it('is erased once: nothing of it is left, and the neighbors lack nothing', async () => {
    const kept = (await rooms.log.latestCheckpoint(rooms.database, microgrid))!;
    const { rows, repeated } = await erase(rooms, gone);
    expect(repeated).toBe(false);
    await rooms.log.sign(rooms.database, microgrid);

    expect(found(personal, await dump(rooms))).toEqual([]);
    expect(await neighborView(rooms, microgrid, stays[0], before.records)).toEqual(neighborBefore);
    const after = await new VerifyService(rooms.database).verify(microgrid, rooms.log, [kept.note]);
    expect(after).toMatchObject({
      findings: [],
      records: before.records + 1,
      signed: before.records + 1,
      slots: before.slots,
      erased: rows['records'],
      slotsInPart: 5,
    });

    const again = await erase(rooms, gone);
    expect(again).toMatchObject({ repeated: true });
    expect(Object.values(again.rows).filter((count) => count > 0)).toEqual([]);
    expect(await verify()).toEqual(after);
  });

  it('its people are gone, except who has to do with others', async () => {
    const people = await rooms.database.query<{ id: string }>(
      'SELECT person_id AS id FROM person ORDER BY 1',
    );
    const ids = people.map(({ id }) => id);
    expect(ids).toContain(`keeper-${microgrid}`);
    expect(ids).not.toContain(microgrid === 'yard' ? PERSON : `tenant-${gone}`);
  });

  it('no record of it can be made any more, and the street goes on', async () => {
    const draft = {
      kind: 'deposit' as const,
      at: '2026-06-02T12:06:00Z',
      cause: 'too late',
      keyHolder: gone,
      households: [gone],
      facts: {},
      transfers: [],
    };
    const late = rooms.database.transaction((sql) => rooms.ledger.append(sql, microgrid, [draft]));
    await expect(late).rejects.toThrow(`household ${gone} was erased`);
    expect(await rooms.parties.householdOf(rooms.database, gone)).toBeNull();
    await rooms.clock.advance(rooms.database, '2026-06-02T14:06:00Z');
    await rooms.slots.advance('2026-06-02T14:06:00Z');
    expect((await verify()).findings).toEqual([]);
  });

  it('what came back with a backup is erased again by the journal alone', async () => {
    await rooms.asOwner(async (sql) => {
      await sql.query(`INSERT INTO record_key VALUES ($1, $2, $3)`, [
        microgrid,
        gone,
        Buffer.alloc(32),
      ]);
      await sql.query(
        `INSERT INTO measurement SELECT microgrid_id, slot_start, $2, revision, sequence, 1, 1, 1, 1, 1, 1, 1, 'measured'
         FROM measurement WHERE microgrid_id = $1 AND revision = 0 AND household_id = $3 LIMIT 1`,
        [microgrid, gone, stays[0]],
      );
      await sql.query(`UPDATE household SET alias = $2 WHERE household_id = $1`, [gone, ALIAS]);
      await sql.query('DELETE FROM erasure');
    });
    const tables = (findings: readonly Finding[]) => new Set(findings.map(({ table }) => table));
    expect(tables((await verify()).findings)).toEqual(
      new Set(['record_key', 'measurement', 'erasure']),
    );
    const replayed = await withErasure(rooms, (erasure) => erasure.replay(microgrid));
    expect(replayed).toEqual([
      expect.objectContaining({ household: gone, rows: expect.objectContaining({ keys: 1 }) }),
    ]);
    expect((await verify()).findings).toEqual([]);
    expect(await dump(rooms)).not.toContain(ALIAS);
  });

  it('whatever stays of it is still held against something', async () => {
    const own = `microgrid_id = '${microgrid}' AND '${gone}' IN (split_part(debit_account, '/', 2), split_part(credit_account, '/', 2))`;
    const attacks: [what: string, statement: string][] = [
      [
        'a transfer of it',
        `UPDATE transfer SET amount = amount + 1 WHERE ${own} AND state = 'posted'`,
      ],
      [
        'a balance of it',
        `UPDATE account SET debits_posted = debits_posted + 1, credits_posted = credits_posted + 1 WHERE account_id = 'household/${gone}/wallet'`,
      ],
      [
        'a body of the microgrid that concerns it',
        `DELETE FROM record_body WHERE microgrid_id = '${microgrid}' AND key_holder = '' AND sequence IN (
           SELECT sequence FROM record_household WHERE household_id = '${gone}')
         AND sequence < (SELECT max(sequence) FROM record_household WHERE household_id = '${gone}')`,
      ],
      [
        'a body of a neighbor, as if it were erased too',
        `DELETE FROM record_body WHERE microgrid_id = '${microgrid}' AND key_holder = '${stays[1]}'`,
      ],
      [
        'which household a record concerned',
        `UPDATE record_household SET household_id = '${stays[0]}' WHERE household_id = '${gone}' AND sequence IN (
           SELECT min(sequence) FROM record_household WHERE household_id = '${gone}')`,
      ],
      [
        'the commitment to a record that was erased',
        `UPDATE record_head head SET commitment = sha256(commitment) WHERE microgrid_id = '${microgrid}' AND NOT EXISTS (
           SELECT FROM record_body body WHERE (body.microgrid_id, body.sequence) = (head.microgrid_id, head.sequence))`,
      ],
    ];
    for (const [what, statement] of attacks) {
      const findings = await undone(
        rooms,
        ['transfer', 'account'],
        async ({ sql, verify: look }) => {
          await sql.query(statement);
          return look(microgrid);
        },
      );
      expect([what, findings.length > 0]).toEqual([what, true]);
    }
  });

  it('a neighbor that rewrites a slot it shared with it is found, though it has the keys', async () => {
    const [slot] = await rooms.database.query<{ sequence: number }>(
      `SELECT sequence FROM settlement WHERE household_id = $1 AND from_neighbors_wh > 0
       ORDER BY slot_start LIMIT 1`,
      [stays[0]],
    );
    const body = await readBody(rooms.database, microgrid, slot!.sequence);
    const settlement = body.facts['settlement'] as JsonObject;
    const better = { ...settlement, netMicro: Number(settlement['netMicro']) + 1 };
    const findings = await undone(rooms, [], async ({ sql, verify: look }) => {
      await rewrite(sql, microgrid, { ...body, facts: { ...body.facts, settlement: better } });
      await reseal(sql, microgrid, (await verify()).records);
      return look(microgrid);
    });
    expect(findings[0]).toMatchObject({ table: 'record_body', field: 'facts.settlement' });
  });

  it('every column of the table of erasures is held against the journal', async () => {
    const columns = (await readColumns(rooms.database)).filter(({ table }) => table === 'erasure');
    for (const one of columns) {
      for (const { to } of changesOf(one)) {
        const findings = await undone(rooms, ['erasure'], async ({ attempt, verify: look }) => {
          for (const value of to) {
            await attempt(`UPDATE erasure SET ${one.column} = ${value} RETURNING 1`);
          }
          return look(microgrid);
        });
        expect([one.column, findings.map(({ table }) => table)]).toEqual([
          one.column,
          expect.arrayContaining(['erasure']),
        ]);
      }
    }
  });
});

/** What the one that leaves has been through. */
async function story({ database }: Rooms, { microgrid, gone }: Place): Promise<unknown> {
  const [row] = await database.query(
    `SELECT
       EXISTS (SELECT FROM trade_settlement WHERE seller_id = $2 AND claimed_wh > 0) AS sold,
       EXISTS (SELECT FROM trade_settlement WHERE buyer_id = $2 AND claimed_wh > 0) AS bought,
       EXISTS (SELECT FROM settlement WHERE household_id = $2 AND revision > 0) AS corrected
     FROM microgrid WHERE microgrid_id = $1`,
    [microgrid, gone],
  );
  return row;
}

/** Everything in every table, as text; bytes as what they spell, and in hex. */
async function dump({ asOwner }: Rooms): Promise<string> {
  return asOwner(async (sql) => {
    const tables = await sql.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class
       WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY 1`,
    );
    let text = '';
    for (const { name } of tables) {
      const bytea = await sql.query<{ column: string }>(
        `SELECT attname AS column FROM pg_attribute
         WHERE attrelid = $1::regclass AND atttypid = 'bytea'::regtype AND attnum > 0`,
        [name],
      );
      const spelled = bytea.map(({ column }) => `, encode(${column}, 'escape')`).join('');
      const rows = await sql.query<{ line: string }>(
        `SELECT concat_ws(E'\\t', ${name}::text${spelled}) AS line FROM ${name} ORDER BY 1`,
      );
      text += `${name}\n${rows.map(({ line }) => line).join('\n')}\n`;
    }
    return text;
  });
}

/** What a search for the household would look for: names, people, and what its meters said. */
async function personalTexts({ database }: Rooms, gone: string): Promise<string[]> {
  const rows = await database.query<{ text: string }>(
    `SELECT alias AS text FROM household WHERE household_id = $1
     UNION SELECT person_id FROM person_grant WHERE household_id = $1 AND person_id NOT LIKE 'keeper-%'
     UNION SELECT name FROM person JOIN person_grant USING (person_id)
       WHERE household_id = $1 AND person_id NOT LIKE 'keeper-%'
     UNION SELECT token_hash::text FROM invitation WHERE household_id = $1
     UNION SELECT secret_hash FROM mqtt_credential
       WHERE username = $1 OR username IN (SELECT meter_id FROM meter WHERE household_id = $1)
     UNION SELECT trim_scale(value_wh)::text FROM reading JOIN meter USING (microgrid_id, meter_id)
       WHERE household_id = $1 AND value_wh NOT IN (
         SELECT value_wh FROM reading JOIN meter USING (microgrid_id, meter_id)
         WHERE household_id <> $1)
       AND value_wh::text LIKE '%.125%'
     UNION SELECT encode(payload_hash, 'hex') FROM reading JOIN meter USING (microgrid_id, meter_id)
       WHERE household_id = $1 AND payload_hash NOT IN (
         SELECT payload_hash FROM reading JOIN meter USING (microgrid_id, meter_id)
         WHERE household_id <> $1)
     UNION SELECT encode(key, 'hex') FROM record_key WHERE key_holder = $1
     UNION SELECT '47114711' UNION SELECT 'nonsense'`,
    [gone],
  );
  return rows.map(({ text }) => text).sort();
}

function found(texts: readonly string[], all: string): string[] {
  return texts.filter((text) => all.includes(text));
}

/** What a neighbor sees and keeps: its records and their proofs, trades, settlements, statements. */
async function neighborView(
  { database, ledger, log }: Rooms,
  microgrid: string,
  id: string,
  size: number,
): Promise<unknown> {
  const records = await ledger.records(database, microgrid, {
    since: 0,
    limit: 1_000,
    household: id,
  });
  const rowsOf = (text: string) => database.query(text, [id]);
  const span = ['2026-06-01T00:00:00Z', '2026-06-03T00:00:00Z'] as const;
  return {
    records,
    proofs: await Promise.all(
      records.map(({ sequence }) => log.proveInclusion(database, microgrid, sequence, size)),
    ),
    trades: await rowsOf(
      `SELECT * FROM trade_settlement WHERE $1 IN (buyer_id, seller_id)
       ORDER BY slot_start, number, revision`,
    ),
    settlements: await rowsOf(
      'SELECT * FROM settlement WHERE household_id = $1 ORDER BY slot_start, revision',
    ),
    statement: await ledger.movements(database, microgrid, `household/${id}/wallet`, ...span),
    bill: await ledger.movements(database, microgrid, `household/${id}/bill`, ...span),
    readings: await rowsOf(
      `SELECT reading.*, bytes FROM reading JOIN meter USING (microgrid_id, meter_id)
       JOIN reading_payload USING (microgrid_id, payload_hash)
       WHERE household_id = $1 ORDER BY meter_id, register, read_at`,
    ),
  };
}
