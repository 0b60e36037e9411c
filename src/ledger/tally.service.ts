import type { Sql } from '../database/database.service.js';
import { Tally, type Moved } from './tally.js';
import * as store from './tally.store.js';

/** What the records of a microgrid after `since` come to, however many they are: two statements. */
export async function tallySince(sql: Sql, microgridId: string, since: number): Promise<Tally> {
  const tally = new Tally();
  const kinds = await sql.query<{ kind: string; records: number }>(store.KINDS_SINCE, [
    microgridId,
    since,
  ]);
  const moved = await sql.query<Moved & { lines: number }>(store.MOVED_SINCE, [microgridId, since]);
  for (const { kind, records } of kinds) tally.addRecords(kind, records);
  for (const { lines, ...one } of moved) tally.addTransfers(one, lines);
  return tally;
}
