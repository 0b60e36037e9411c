import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import pg from 'pg';
import { until } from './program.js';
import type { Message } from './stream.js';

/** Looks into the embedded database past the service, either of which may be dead. */
export class Observer {
  private client: pg.Client | undefined;

  constructor(private readonly dataDir: string) {}

  async query<Row>(text: string, parameters: unknown[] = []): Promise<Row[]> {
    this.client ??= await this.connect();
    return (await this.client.query(text, parameters)).rows as Row[];
  }

  /** Resolves when the database takes questions again, on a connection of the server that runs now. */
  async isBack(): Promise<void> {
    // One of a server that was killed answers until it notices.
    await this.close();
    await until(
      'the database is back',
      () =>
        this.query('SELECT').then(
          () => true,
          () => {
            this.client = undefined;
            return false;
          },
        ),
      60_000,
    );
  }

  async expectKept(messages: readonly Message[]): Promise<void> {
    expect(await this.missing(messages)).toEqual([]);
  }

  /** Those of which a register is not there, or with another value. */
  async missing(messages: readonly Message[]): Promise<Message[]> {
    const rows = await this.query<{ place: string }>(
      `SELECT told.place
       FROM unnest($1::text[], $2::timestamptz[], $3::numeric[], $4::numeric[]) WITH ORDINALITY
         AS told (meter, read_at, import_wh, export_wh, place)
       WHERE NOT EXISTS (
         SELECT FROM reading r WHERE r.meter_id = told.meter AND r.read_at = told.read_at
         AND r.value_wh = CASE r.register WHEN 'import' THEN told.import_wh ELSE told.export_wh END)
       ORDER BY told.place`,
      [
        messages.map(({ meter }) => meter),
        messages.map(({ readAt }) => readAt),
        messages.map(({ importWh }) => importWh),
        messages.map(({ exportWh }) => exportWh),
      ],
    );
    return rows.map(({ place }) => messages[Number(place) - 1]!);
  }

  async closedSlots(): Promise<number> {
    try {
      const rows = await this.query(`SELECT FROM slot WHERE status = 'closed'`);
      return rows.length;
    } catch {
      return 0;
    }
  }

  rejections(): Promise<{ reason: string; detail: string }[]> {
    return this.query(`SELECT reason, detail FROM rejection ORDER BY 1, 2`);
  }

  async close(): Promise<void> {
    await this.client?.end().catch(() => undefined);
    this.client = undefined;
  }

  private async connect(): Promise<pg.Client> {
    const access = JSON.parse(await readFile(join(this.dataDir, 'postgres.json'), 'utf8')) as {
      user: string;
      password: string;
      port: number;
    };
    const client = new pg.Client({ host: '127.0.0.1', database: 'neighborwatt', ...access });
    // It looks again with a new connection when the server it saw was killed.
    client.on('error', () => (this.client = undefined));
    await client.connect();
    return client;
  }
}
