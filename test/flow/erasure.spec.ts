import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { PERSON, tellLeaving, waitForFinality, YARD } from '../verify/leaving.js';
import { openRooms, type Rooms } from '../verify/rooms.js';
import { buildProgram, runCommand, type Ended } from './program.js';

/**
 * A household is erased from the command line. The database is lost; the backup of the day before
 * still has the household, and what came after it tells that it was erased.
 */

const WHOLE = { meters: 3, people: 1 };
const NOTHING = { meters: 0, people: 0 };

let rooms: Rooms;
let folder: string;

beforeAll(async () => {
  await buildProgram();
  folder = await mkdtemp(join(tmpdir(), 'erasure-'));
  rooms = await openRooms();
  await tellLeaving(rooms, YARD);
  await waitForFinality(rooms);
  await rooms.log.sign(rooms.database, YARD.microgrid);
}, 180_000);

afterAll(async () => {
  await rooms.close();
  await rm(folder, { recursive: true });
});

describe('a household that has gone', () => {
  const before = () => join(folder, 'before');
  const after = () => join(folder, 'after');

  it('is erased by a command, which ends also where it is refused', async () => {
    expect(await command('backup', '--out', before(), '--with-keys')).toMatchObject({ code: 0 });
    const real = await runCommand(['operator', 'erase', YARD.gone], {
      ...environment(rooms, rooms.dataDir),
      MARKET_CLOCK: 'system',
    });
    expect(real).toMatchObject({ code: 1, stderr: expect.stringMatching(/clock/) });
    const dry = await command('operator', 'erase', YARD.gone, '--dry-run');
    expect(dry.stdout).toContain(`${YARD.gone} can be erased; nothing was.`);
    expect(await left(rooms)).toEqual(WHOLE);
    const erased = await command('operator', 'erase', YARD.gone);
    expect(erased.stdout).toMatch(new RegExp(`${YARD.gone} is erased, which record \\d+ tells:`));
    expect(await left(rooms)).toEqual(NOTHING);
    const again = await command('operator', 'erase', YARD.gone);
    expect(again.stdout).toContain(`${YARD.gone} was erased by record`);
    expect(await command('verify')).toMatchObject({ code: 0 });
    expect(
      await command('export', '--microgrid', YARD.microgrid, '--for', 'operator', '--out', after()),
    ).toMatchObject({ code: 0 });
  }, 120_000);

  it('is erased once more where a backup brought it back', async () => {
    const there = await freshDatabase();
    try {
      const elsewhere = environment(there, join(folder, 'data'));
      const back = await runCommand(['restore', '--from', before()], elsewhere);
      expect(back).toMatchObject({ code: 0, stdout: expect.stringContaining('everything fits') });
      expect(await left(there)).toEqual(WHOLE);
      const on = await runCommand(['restore', '--from', after()], elsewhere);
      expect(on.stdout).toMatch(/1 households erased again; everything fits/);
      expect(on.code).toBe(0);
      expect(await left(there)).toEqual(NOTHING);
    } finally {
      await there.drop();
    }
  }, 120_000);
});

type Place = Pick<FreshDatabase, 'url' | 'ownerUrl' | 'eraserUrl' | 'database'>;

function command(...args: string[]): Promise<Ended> {
  return runCommand(args, environment(rooms, rooms.dataDir));
}

function environment({ url, ownerUrl, eraserUrl }: Place, dataDir: string): Record<string, string> {
  return {
    DATABASE_URL: url,
    DATABASE_OWNER_URL: ownerUrl,
    DATABASE_ERASER_URL: eraserUrl,
    DATA_DIR: dataDir,
    MARKET_CLOCK: 'simulated',
  };
}

/** What is there of it: its meters, and whoever read its page. */
async function left({ database }: Place): Promise<{ meters: number; people: number }> {
  const [row] = await database.query<{ meters: number; people: number }>(
    `SELECT (SELECT count(*)::integer FROM meter WHERE household_id = $1) AS meters,
       (SELECT count(*)::integer FROM person WHERE person_id = $2) AS people`,
    [YARD.gone, PERSON],
  );
  return row!;
}
