import { describe, expect, test } from '@jest/globals';
import { parse as parseCsv } from 'csv-parse/sync';
import type { Rooms } from '../verify/rooms.js';
import { STREET } from '../verify/street.js';

/**
 * Statements, balances and readings over HTTP: shapes, bounds, CSV, and who is refused.
 * @param story whose street was told, and where its doors are
 */
export function describeHouseholdDoors(story: () => { rooms: Rooms; base: string }): void {
  describe('a month’s statement', () => {
    test('adds up, its energy by quality too', async () => {
      const { body } = await ask(story().base, 'sun', '/households/sun/statements?month=2026-06');
      const [month] = body.items as [Item & { energy: Record<string, unknown> }];
      expect(month).toMatchObject({
        household: 'sun',
        month: '2026-06',
        currency: 'EUR',
        savedMicro: Number(month['netMicro']) - Number(month['tariffMicro']),
      });
      const byQuality = month.energy['byQuality'] as Item[];
      const qualities = byQuality.map(({ quality }) => quality);
      expect(qualities).toEqual(
        ['measured', 'interpolated', 'estimated', 'missing'].filter((one) =>
          qualities.includes(one),
        ),
      );
      const sum = (name: string) => byQuality.reduce((all, one) => all + Number(one[name]), 0);
      expect(sum('slots')).toBe(month['slots']);
      expect(sum('producedWh')).toBe(month.energy['producedWh']);
      expect(sum('consumedWh')).toBe(month.energy['consumedWh']);
    });

    test('comes slot by slot, page by page, in JSON and CSV alike, its sums those of the month', async () => {
      const { items, rows } = await pages(
        story().base,
        'emil',
        '/households/emil/statements/lines?month=2026-06',
        3,
      );
      const [month] = (await ask(story().base, 'emil', '/households/emil/statements?month=2026-06'))
        .body.items;
      expect(items).toHaveLength(Number(month!['slots']));
      expect(rows.map(({ slot, quality }) => [slot, quality])).toEqual(
        items.map(({ slot, quality }) => [slot, quality]),
      );
      const net = (row: Record<string, string>) => Number(row['netMicro']);
      expect(rows.reduce((sum, row) => sum + net(row), 0)).toBe(month!['netMicro']);
      expect(new Set(items.map(({ quality }) => quality)).size).toBeGreaterThan(1);
    });

    test('begins, for a tenant, with the tenancy', async () => {
      const { body } = await ask(
        story().base,
        'later',
        '/households/sun/statements/lines?month=2026-06',
      );
      const slots = body.items.map(({ slot }) => String(slot));
      expect(slots.length).toBeGreaterThan(0);
      expect(slots.every((slot) => slot >= '2026-06-01T11:30:00Z')).toBe(true);
    });
  });

  test('balances are those of the accounts, now and as a record left them', async () => {
    const { body } = await ask(story().base, 'sun', '/households/sun/balances');
    expect(body.items.map(({ account }) => account)).toEqual([
      'wallet',
      'bill',
      'production',
      'consumption',
      'storage',
    ]);
    expect(body).toMatchObject({ walletMicro: body.items[0]!['balance'], currency: 'EUR' });
    const last = await story().rooms.ledger.head(story().rooms.database, STREET);
    const then = await ask(story().base, 'sun', `/households/sun/balances?sequence=${last}`);
    expect(then.body.items).toEqual(body.items);
    const [first] = (await settled(story().rooms)).filter(({ household }) => household === 'sun');
    const early = await ask(
      story().base,
      'sun',
      `/households/sun/balances?sequence=${first!.sequence - 1}`,
    );
    expect(early.body.items.map(({ balance }) => balance)).toEqual([0, 0, 0, 0, 0]);
  });

  describe('a day of a meter', () => {
    const FREDS = `/operator/microgrids/${STREET}/meters/fred-grid/readings?day=2026-06-01`;

    test('shows raw readings with the rule that fired, beside the borders that count', async () => {
      const { items, rows } = await pages(story().base, 'operator', FREDS, 7);
      expect(rows).toEqual(
        items.map((item) =>
          Object.fromEntries(Object.entries(item).map(([name, value]) => [name, `${value ?? ''}`])),
        ),
      );
      const raw = (time: string, kind = 'reading') =>
        items.filter(({ at, kind: one }) => at === `2026-06-01T${time}Z` && one === kind);
      expect(raw('08:33:00')).toMatchObject([{ valueWh: '987654', rule: 'beyond_connection' }]);
      // From the future: refused, so it was never kept.
      expect(raw('08:37:00')).toEqual([]);
      expect(raw('08:30:00', 'contradiction').map(({ rule }) => rule)).toContain('contradicts');
      expect(raw('08:30:00').map(({ rule }) => rule)).toEqual(expect.arrayContaining([null]));
      const borders = await story().rooms.database.query<Item>(
        `SELECT DISTINCT ON (border_at, register) border_at AS at, register,
           value_wh::text AS "valueWh", quality, revision
         FROM register_border WHERE microgrid_id = $1 AND meter_id = 'fred-grid'
         ORDER BY border_at, register, revision DESC`,
        [STREET],
      );
      const shown = items.filter(({ kind }) => kind === 'border');
      expect(shown).toEqual(borders.map((border) => ({ ...border, kind: 'border', rule: null })));
      const readings = await story().rooms.database.query(
        `SELECT FROM reading WHERE microgrid_id = $1 AND meter_id = 'fred-grid'`,
        [STREET],
      );
      expect(items.filter(({ kind }) => kind === 'reading')).toHaveLength(readings.length);
    });

    test('is shown alike to its household, as far back as it may see', async () => {
      const own = await ask(
        story().base,
        'fred',
        '/households/fred/meters/fred-grid/readings?day=2026-06-01',
      );
      expect(own.body).toEqual((await ask(story().base, 'operator', FREDS)).body);
      const day = '/households/sun/meters/sun-grid/readings?day=2026-06-01';
      const { body } = await ask(story().base, 'later', day);
      const instants = body.items.map(({ at }) => String(at));
      expect(instants.length).toBeGreaterThan(0);
      expect(instants.every((at) => at >= '2026-06-01T11:30:00Z')).toBe(true);
      expect((await ask(story().base, 'later', day.replace('06-01', '05-31'))).body.items).toEqual(
        [],
      );
    });
  });

  describe('nothing of a household is told', () => {
    const PATHS = [
      '/households/sun/balances',
      '/households/sun/settlements',
      '/households/sun/statements?month=2026-06',
      '/households/sun/statements/lines?month=2026-06',
      '/households/sun/meters/sun-grid/readings?day=2026-06-01',
      `/operator/microgrids/${STREET}/meters/sun-grid/readings?day=2026-06-01`,
    ];
    test.each(PATHS)('%s', async (path) => {
      const asked = await Promise.all(
        [null, 'cleo', 'regulator', 'stranger'].map(
          async (who) => (await ask(story().base, who, path)).status,
        ),
      );
      expect(asked).toEqual([401, 403, 403, 403]);
      expect((await ask(story().base, 'operator', path)).status).toBe(200);
    });

    test('nor of a meter that is another household’s', async () => {
      const path = '/households/cleo/meters/sun-grid/readings?day=2026-06-01';
      expect(await ask(story().base, 'cleo', path)).toMatchObject({
        status: 404,
        body: { code: 'unknown_meter' },
      });
    });
  });

  test.each([
    '/households/sun/balances?sequence=0',
    '/households/sun/balances?sequence=1.5',
    '/households/sun/settlements?limit=1001',
    '/households/sun/settlements?from=yesterday',
    '/households/sun/statements?month=2026-13',
    '/households/sun/statements/lines?day=2026-02-30',
    '/households/sun/statements/lines?format=xml',
    '/households/sun/statements/lines?limit=0',
    '/households/sun/statements/lines?after=bm90IGFuIGluc3RhbnQ',
    '/households/sun/meters/sun-grid/readings',
    '/households/sun/meters/sun-grid/readings?day=2026-02-30',
    '/households/sun/meters/sun-grid/readings?day=2026-06-01&limit=1001',
    '/households/sun/meters/sun-grid/readings?day=2026-06-01&format=xml',
    '/households/sun/meters/sun-grid/readings?day=2026-06-01&after=bm90IGFuIGluc3RhbnQ',
  ])('what cannot be asked is refused: %s', async (path) => {
    expect(await ask(story().base, 'sun', path)).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    });
  });
}

function settled({ database }: Rooms) {
  return database.query<{ household: string; sequence: number }>(
    `SELECT household_id AS household, sequence FROM settlement
     WHERE microgrid_id = $1 ORDER BY sequence`,
    [STREET],
  );
}

/** Any other answer: its text, and what its JSON says where it is some. */
async function ask(base: string, who: string | null, path: string): Promise<Asked> {
  const headers = who === null ? {} : { authorization: `Bearer ${who.padEnd(24, '_')}` };
  const response = await fetch(`${base}${path}`, { headers });
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  const body = isJson ? (JSON.parse(text) as Answer) : NO_JSON;
  return { status: response.status, nextAfter: response.headers.get('next-after'), text, body };
}

/** Every page of a list, and as many lines of the same as CSV. */
async function pages(base: string, who: string, path: string, limit: number) {
  const items: Item[] = [];
  const rows: Record<string, string>[] = [];
  let next: string | null = null;
  do {
    const query: string = `&limit=${limit}${next === null ? '' : `&after=${next}`}`;
    const { body } = await ask(base, who, path + query);
    const csv = await ask(base, who, `${path}${query}&format=csv`);
    expect(body.items.length).toBeLessThanOrEqual(limit);
    expect(csv.nextAfter).toBe(body.next);
    items.push(...body.items);
    rows.push(...(parseCsv(csv.text, { columns: true }) as Record<string, string>[]));
    next = body.next;
  } while (next !== null);
  return { items, rows };
}

type Item = Record<string, unknown>;

interface Answer extends Record<string, unknown> {
  items: Item[];
  next: string | null;
  code?: string;
}

const NO_JSON: Answer = { items: [], next: null };

interface Asked {
  status: number;
  nextAfter: string | null;
  text: string;
  body: Answer;
}
