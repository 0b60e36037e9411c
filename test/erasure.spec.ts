import { describe, expect, it } from '@jest/globals';
import { DatabaseService } from '../src/database/database.service.js';
import { STAYS, STEPS } from '../src/erasure.store.js';
import { tellLeaving, YARD } from './verify/leaving.js';
import { openRooms, type Rooms } from './verify/rooms.js';

/** What erasing reaches; that the rest still fits is told in test/verify/erased.spec.ts. */

it('every table that names a household, a meter or a person is erased, or stays for a reason', async () => {
  const rooms = await openRooms();
  try {
    const rows = await rooms.database.query<{ name: string }>(
      `SELECT DISTINCT class.relname AS name
       FROM pg_attribute attribute JOIN pg_class class ON class.oid = attribute.attrelid
       WHERE class.relnamespace = current_schema()::regnamespace AND class.relkind IN ('r', 'p')
         AND attribute.attname = ANY ($1::text[]) ORDER BY 1`,
      [
        [
          'household_id',
          'households',
          'meter_id',
          'key_holder',
          'buyer_id',
          'person_id',
          'username',
        ],
      ],
    );
    const texts = STEPS.map(({ text }) => text).join('\n');
    const erased = rows.filter(({ name }) =>
      new RegExp(`(DELETE FROM|UPDATE) ${name}\\b`).test(texts),
    );
    const untold = rows.filter((row) => !erased.includes(row) && !(row.name in STAYS));
    expect(untold).toEqual([]);
  } finally {
    await rooms.close();
  }
});

describe('the eraser', () => {
  it('cannot remove what belongs to a household that was not erased', async () => {
    const rooms = await openRooms();
    try {
      await tellLeaving(rooms, YARD);
      await withErasureSql(rooms, async (query) => {
        for (const table of [
          'record_key',
          'measurement',
          'settlement',
          'reading',
          'register_border',
        ]) {
          await expect(query(`DELETE FROM ${table}`)).rejects.toThrow(/was not erased/);
        }
        await expect(query('DELETE FROM record_body')).rejects.toThrow(/was not erased/);
        await expect(query('DELETE FROM reading_payload')).rejects.toThrow(/still names it/);
        await expect(
          query(`DELETE FROM party WHERE kind = 'gateway' OR party_id = 'x'`),
        ).resolves.toEqual([]);
        await expect(query('UPDATE household SET active_until = NULL')).rejects.toThrow(
          'permission denied',
        );
      });
    } finally {
      await rooms.close();
    }
  });
});

async function withErasureSql(
  rooms: Rooms,
  work: (query: (text: string) => Promise<unknown[]>) => Promise<void>,
): Promise<void> {
  const database = await DatabaseService.open({
    url: rooms.eraserUrl,
    role: 'eraser',
    poolSize: 1,
  });
  try {
    await work((text) => database.query(text));
  } finally {
    await database.close();
  }
}
