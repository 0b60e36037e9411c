import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { COVERED_TABLES, UNCOVERED_TABLES } from '../../src/verify/tables.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { readProjectFile } from '../support/project.js';
import { readColumns } from './tampering.js';

/** `docs/verify.md` says of every table and column what `verify` does with it. */

const [covered, uncovered] = readProjectFile('docs/verify.md')
  .split('## Table by table')[1]!
  .split('## Tables that are not covered') as [string, string];

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh.drop());

it('lists every column of every covered table, and why some are not covered', async () => {
  const columns = await readColumns(fresh.database);
  const documented = new Map(
    covered
      .split('\n### ')
      .slice(1)
      .map((section) => [/^`(\w+)`/.exec(section)![1]!, rowsOf(section)]),
  );
  expect([...documented.keys()].sort()).toEqual(COVERED_TABLES.map(({ table }) => table).sort());
  for (const { table, uncovered: reasons } of COVERED_TABLES) {
    const there = columns.filter((one) => one.table === table).map(({ column }) => column);
    // Of every table alike; the one whose key it is as well.
    const listed = there.filter((column) => column !== 'microgrid_id');
    const rows = documented.get(table)!;
    expect([table, ...rows.map(([column]) => column)]).toEqual([table, ...listed]);
    for (const [column, text] of rows) {
      const reason = (reasons as Record<string, string>)[column];
      if (reason === undefined) expect(text).not.toMatch(/not covered/);
      else expect(text).toBe(`_not covered:_ ${reason}`);
    }
  }
});

it('lists every other table, and why it is not covered', () => {
  expect(Object.fromEntries(rowsOf(uncovered))).toEqual(UNCOVERED_TABLES);
});

/** The rows of a Markdown table whose first cell is code. */
function rowsOf(section: string): [name: string, text: string][] {
  return [...section.matchAll(/^\| `(\w+)` *\| (.+?) *\|$/gm)].map(([, name, text]) => [
    name!,
    text!,
  ]);
}
