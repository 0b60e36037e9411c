import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  commitment,
  RECORD_KINDS,
  type RecordBody,
  type RecordKind,
} from '../../src/ledger/record.js';
import { signCheckpoint } from '../../src/transparency/checkpoint.js';
import { ALGORITHM, ed25519Signer } from '../../src/transparency/signed-note.js';
import type { Sql } from '../../src/database/database.service.js';
import { VerifyService } from '../../src/verify/verify.service.js';
import { BLOCK, tellBlock } from './block.js';
import { changed, leavesOf, readBody, reseal, rewrite, type Path } from './resealing.js';
import { openRooms, type Rooms } from './rooms.js';
import { STREET, tellStreet } from './street.js';
import { undone } from './tampering.js';

/** Nothing is erased here: that has a story of its own. */
const KINDS = RECORD_KINDS.filter((kind) => kind !== 'erasure');

let rooms: Rooms;

beforeAll(async () => {
  rooms = await openRooms();
  await tellBlock(rooms);
  await tellStreet(rooms);
});
afterAll(() => rooms.close());

describe('whoever has the database', () => {
  it('cannot cut off the end of the journal: a checkpoint remembers it', async () => {
    const kept = (await rooms.log.latestCheckpoint(rooms.database, BLOCK))!;
    const tables = ['record_head', 'record_body', 'record_household', 'transfer', 'log_entry'];
    const [found, foundLater] = await undone(rooms, tables, async ({ sql, verify }) => {
      for (const table of ['transfer', 'record_household', 'record_body', 'record_head']) {
        await sql.query(`DELETE FROM ${table} WHERE microgrid_id = $1 AND sequence = $2`, [
          BLOCK,
          kept.size,
        ]);
      }
      await sql.query('DELETE FROM log_entry WHERE microgrid_id = $1 AND entry_index = $2 - 1', [
        BLOCK,
        kept.size,
      ]);
      const before = await verify(BLOCK);
      // With every checkpoint gone too, only one that was kept elsewhere tells.
      await reseal(sql, BLOCK, kept.size - 1);
      return [before, await verify(BLOCK, [kept.note])];
    });
    expect(found).toContainEqual(expect.objectContaining({ table: 'checkpoint', field: 'size' }));
    expect(foundLater).toContainEqual(
      expect.objectContaining({ table: 'checkpoint', row: 'kept', field: 'size' }),
    );
  });

  it('cannot sign with another key', async () => {
    const { size, root } = (await rooms.log.latestCheckpoint(rooms.database, STREET))!;
    const origin = rooms.log.origin(STREET);
    const signer = ed25519Signer({
      name: origin,
      algorithm: ALGORITHM.ed25519,
      seed: Buffer.alloc(32, 7),
    });
    const note = signCheckpoint({ origin, size, root, extensions: [] }, [signer]);
    const found = await undone(rooms, ['checkpoint'], async ({ sql, verify }) => {
      await sql.query('UPDATE checkpoint SET note = $3 WHERE microgrid_id = $1 AND size = $2', [
        STREET,
        size,
        note,
      ]);
      return verify(STREET);
    });
    expect(found).toEqual([
      expect.objectContaining({
        table: 'checkpoint',
        row: String(size),
        found: 'not_signed_by_log',
      }),
    ]);
  });
});

describe('whoever has the keys of the records too', () => {
  it('cannot write a record anew: the tree is another one than was signed', async () => {
    const body = await readBody(rooms.database, STREET, 1);
    const found = await undone(rooms, [], async ({ sql, verify }) => {
      await rewrite(sql, STREET, { ...body, facts: { ...body.facts, by: 'nobody' } });
      return verify(STREET);
    });
    expect(found[0]).toMatchObject({ table: 'checkpoint', field: 'root' });
    expect([...new Set(found.map(({ table }) => table))].sort()).toEqual([
      'checkpoint',
      'journal_head',
      'log_tile',
    ]);
  });

  // Every third value of one record of each kind, so that it stays short.
  it.each(KINDS)('cannot write what contradicts other records: %s', async (kind) => {
    const missed: string[] = [];
    for (const { microgrid, sequence } of await oneOfEachAction(kind)) {
      const body = await readBody(rooms.database, microgrid, sequence);
      const paths = leavesOf(body)
        .filter((_, place) => place % 3 === sequence % 3)
        .filter((path) => !ONLY_SEALED.some((pattern) => pattern.test(nameOf(body, path))))
        // The row that the record stands in stays the same.
        .filter((path) => path[0] !== 'sequence');
      for (const path of paths) {
        const found = await undone(rooms, ['record_head'], async ({ sql, verify }) => {
          await rewrite(sql, microgrid, changed(body, path));
          return verify(microgrid);
        });
        const isContradicted = found.some(({ table }) => !LOG_TABLES.has(table));
        if (!isContradicted) missed.push(nameOf(body, path));
      }
    }
    expect(missed).toEqual([]);
  });
});

describe('whoever has all keys', () => {
  it('can write history anew, but not for those who kept a checkpoint', async () => {
    const kept = (await rooms.log.latestCheckpoint(rooms.database, STREET))!;
    const body = await readBody(rooms.database, STREET, 1);
    const [unnoticed, found] = await undone(rooms, [], async ({ sql, verify }) => {
      await rewrite(sql, STREET, { ...body, facts: { ...body.facts, by: 'nobody' } });
      await reseal(sql, STREET, kept.size);
      await rooms.log.sign(sql, STREET);
      return [await verify(STREET), await verify(STREET, [kept.note])];
    });
    expect(unnoticed).toEqual([]);
    expect(found).toEqual([
      expect.objectContaining({ table: 'checkpoint', row: `kept ${kept.size}`, field: 'root' }),
    ]);
  });
});

describe('damage is told, not stumbled over:', () => {
  const bodies: [string, (body: RecordBody) => unknown][] = [
    ['no object', () => 5],
    ['no facts', (body) => ({ ...body, facts: undefined })],
    ['facts that are a list', (body) => ({ ...body, facts: [] })],
    ['no transfers', (body) => ({ ...body, transfers: null })],
    ['a slot that is no instant', (body) => ({ ...body, facts: { ...body.facts, slot: 'noon' } })],
    ['no registers', (body) => ({ ...body, facts: { ...body.facts, registers: null } })],
    ['registers of nothing', (body) => ({ ...body, facts: { ...body.facts, registers: [{}] } })],
    ['no settlement', (body) => ({ ...body, facts: { ...body.facts, settlement: {} } })],
    ['another kind', (body) => ({ ...body, kind: 'erasure' })],
  ];
  it.each(bodies)('a record with %s', async (_, damage) => {
    const [{ sequence }] = (await rooms.database.query<{ sequence: number }>(
      `SELECT min(sequence) AS sequence FROM record_head
       WHERE microgrid_id = $1 AND kind = 'household-slot'`,
      [STREET],
    )) as [{ sequence: number }];
    const body = await readBody(rooms.database, STREET, sequence);
    const damaged = damage(body) as RecordBody;
    const found = await undone(rooms, ['record_head'], async ({ sql, verify }) => {
      try {
        commitment(Buffer.alloc(32), damaged);
        await rewrite(sql, STREET, { ...damaged, sequence, cause: body.cause, at: body.at });
      } catch {
        await sql.query(
          'UPDATE record_body SET bytes = $3 WHERE microgrid_id = $1 AND sequence = $2',
          [STREET, sequence, Buffer.from(JSON.stringify(damaged))],
        );
      }
      return verify(STREET);
    });
    expect(found).toContainEqual(
      expect.objectContaining({ table: 'record_body', row: String(sequence) }),
    );
  });

  it('a number beyond all numbers', async () => {
    const found = await undone(rooms, ['record_head'], async ({ sql, verify }) => {
      await sql.query(
        'UPDATE record_head SET sequence = 2::numeric ^ 62 WHERE microgrid_id = $1 AND sequence = 40',
        [STREET],
      );
      return verify(STREET);
    });
    expect(found[0]).toMatchObject({ table: 'record_head' });
  });

  it('a table of which a page is damaged', async () => {
    const service = new VerifyService(rooms.database);
    const damaged = 'invalid page in block 3 of relation base/16384/16723';
    const found = await rooms.database.transaction(async (sql) => {
      const onBadDisk: Sql = {
        copyIn: (copies) => sql.copyIn(copies),
        query: (text, parameters) =>
          / FROM storage_lot /.test(text)
            ? Promise.reject(Object.assign(new Error(damaged), { code: 'XX001' }))
            : sql.query(text, parameters),
      };
      return (await service.verifyIn(onBadDisk, STREET, rooms.log)).findings;
    });
    expect(found).toEqual([expect.objectContaining({ table: 'storage_lot', found: damaged })]);
  });

  it('a column that verify does not know', async () => {
    const found = await undone(rooms, [], async ({ sql, verify }) => {
      await sql.query(`ALTER TABLE trade ADD COLUMN mood text DEFAULT 'good'`);
      return verify(STREET);
    });
    expect(found[0]).toMatchObject({ table: 'trade', field: 'mood', expected: 'a rule of verify' });
  });
});

const LOG_TABLES = new Set(['checkpoint', 'log_tile', 'journal_head']);

/**
 * What an operator or a clock says and nothing else repeats: when it was, who did it, what it was
 * called, and what was taken back before it counted. The seal alone vouches for these.
 */
const ONLY_SEALED = [
  /^(operator-action|tariff|enrolment|deposit|order)[^ ]* at$/,
  /^(operator-action|tariff|enrolment)[^ ]* cause$/,
  /^[^ ]+ facts\.by$/,
  /^operator-action:access-granted facts\./,
  /^operator-action:slot-quarantined (kind|facts\.action)$/,
  /^deposit facts\.reference$/,
  /^order:limits facts\.(sellAbove|buyBelow)/,
  /^enrolment:program-left facts\.from$/,
];

async function oneOfEachAction(
  kind: RecordKind,
): Promise<{ microgrid: string; sequence: number }[]> {
  return rooms.database.query(
    `SELECT DISTINCT ON (action) microgrid_id AS microgrid, sequence
     FROM record_head JOIN record_body USING (microgrid_id, sequence)
     CROSS JOIN LATERAL (
       SELECT convert_from(bytes, 'UTF8')::jsonb -> 'facts' ->> 'action' AS action) said
     WHERE kind = $1
     ORDER BY action, microgrid_id, sequence DESC`,
    [kind],
  );
}

function nameOf({ kind, facts }: RecordBody, path: Path): string {
  const action = facts['action'];
  return `${kind}${typeof action === 'string' ? `:${action}` : ''} ${path.join('.')}`;
}
