import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { COVERED_TABLES, type CoveredTable } from '../../src/verify/tables.js';
import { tellBlock } from './block.js';
import { openRooms, type Rooms } from './rooms.js';
import { tellStreet } from './street.js';
import {
  changesOf,
  microgridsWith,
  oneRow,
  readColumns,
  undone,
  type Column,
} from './tampering.js';

let rooms: Rooms;
let columns: Column[];

beforeAll(async () => {
  rooms = await openRooms();
  await tellBlock(rooms);
  await tellStreet(rooms);
  columns = await readColumns(rooms.database);
});
afterAll(() => rooms.close());

/** Only whoever kept a checkpoint misses it: slots need not be signed one by one. */
const MAY_GO = new Set(['checkpoint']);

describe('a row that is gone is found:', () => {
  it.each(COVERED_TABLES)('$table', async (covered) => {
    const { table } = covered;
    for (const microgrid of await microgridsWith(rooms.database, table, 'true')) {
      const found = await undone(rooms, [table], async ({ attempt, verify }) => {
        const row = oneRow(covered, 'true');
        await attempt(`DELETE FROM ${table} WHERE ctid = ${row} RETURNING 1`, [microgrid]);
        return verify(microgrid);
      });
      const tables = found.map((one) => one.table);
      if (MAY_GO.has(table)) expect(tables).toEqual([]);
      else expect(tables).toContain(table);
    }
  });
});

describe('a row that was added is found:', () => {
  it.each(COVERED_TABLES)('$table', async (covered) => {
    const { table, key } = covered;
    const column = columns.find((one) => one.table === table && one.column === key.at(-1))!;
    for (const microgrid of await microgridsWith(rooms.database, table, 'true')) {
      const found = await undone(rooms, [table], async ({ attempt, verify }) => {
        for (let place = 0; place < 5; place += 1) {
          const added = copies(covered, column, place);
          for (const text of added) {
            if (!(await attempt(text, [microgrid]))) continue;
            return [...(await verify(microgrid)), ...(await verify('nowhere'))];
          }
        }
        return [];
      });
      expect(found.map((one) => one.table)).toContain(table);
    }
  });
});

describe('two rows that changed places are found:', () => {
  it.each(COVERED_TABLES)('$table', async (covered) => {
    const { table, key, uncovered } = covered;
    const values = columns
      .filter((one) => one.table === table && one.column !== 'microgrid_id')
      .map(({ column }) => column)
      .filter((column) => !key.includes(column) && !(column in uncovered));
    if (values.length === 0) return;
    for (const microgrid of await microgridsWith(rooms.database, table, 'true')) {
      const [one, other] = await differing(covered, values, microgrid);
      if (!one || !other) continue;
      const found = await undone(rooms, [table], async ({ sql, verify }) => {
        await sql.query(
          `UPDATE ${table} changed SET (${values.join(', ')}) = (
             SELECT ${values.join(', ')} FROM ${table} WHERE ctid =
               CASE WHEN changed.ctid = '${one}' THEN '${other}'::tid ELSE '${one}'::tid END)
           WHERE changed.ctid IN ('${one}', '${other}')`,
        );
        return verify(microgrid);
      });
      expect(found.map(({ table: named }) => named)).toContain(table);
    }
  });
});

/** Statements that add a row with the values of another under a key of its own; one of them works. */
function copies(covered: CoveredTable, column: Column, place: number): string[] {
  const { table } = covered;
  // The key of these is the microgrid's id alone.
  const changes = column.column === 'microgrid_id' ? [{ to: ["'nowhere'"] }] : changesOf(column);
  return changes.flatMap(({ to }) =>
    to.map(
      (value) => `INSERT INTO ${table}
        SELECT (jsonb_populate_record(${table}, jsonb_build_object('${column.column}', ${value}))).*
        FROM ${table} WHERE ctid = ${oneRow(covered, 'true', place)} RETURNING 1`,
    ),
  );
}

/** Two rows of a microgrid that differ in these values, if it has any. */
async function differing(
  { table }: CoveredTable,
  values: readonly string[],
  microgrid: string,
): Promise<string[]> {
  const rows = await rooms.database.query<{ row: string }>(
    `SELECT min(ctid::text) AS row FROM ${table} WHERE microgrid_id = $1
     GROUP BY md5(ROW(${values.join(', ')})::text) ORDER BY 1 LIMIT 2`,
    [microgrid],
  );
  return rows.map(({ row }) => row);
}
