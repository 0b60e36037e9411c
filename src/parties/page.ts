import { z } from 'zod';
import { parse } from './parse.js';

/** A list as every endpoint answers it; `next` is null on the last page. */
export interface Page<Item> {
  items: Item[];
  next: string | null;
}

const QUERY = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z
    .string()
    .max(400)
    .regex(/^[A-Za-z0-9_-]*$/, 'must be the `next` of an earlier page')
    .optional(),
});

/**
 * Paging out of a query string: `limit` (1 to 1000, default 100), and the position after which to
 * go on, decoded, or null for the first page.
 */
export function parsePage(query: unknown): { limit: number; after: string | null } {
  const { limit, after } = parse(
    QUERY as z.ZodType<{ limit: number; after?: string | undefined }>,
    query ?? {},
  );
  return { limit, after: after ? Buffer.from(after, 'base64url').toString('utf8') : null };
}

/**
 * A page out of up to `limit + 1` rows: the extra row only says that there is more.
 * @param positionOf what `after` shall be for the rows that follow this one
 */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  positionOf: (row: Row) => string | number,
  itemOf: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const next =
    rows.length > limit && last !== undefined
      ? Buffer.from(String(positionOf(last)), 'utf8').toString('base64url')
      : null;
  return { items: shown.map(itemOf), next };
}
