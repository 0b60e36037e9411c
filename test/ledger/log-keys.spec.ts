import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DatabaseService } from '../../src/database/database.service.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import { PublicationService } from '../../src/ledger/publication.service.js';
import type { Given } from '../../src/operator-command.js';
import { LOG_COMMANDS } from '../../src/operator-log-commands.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { openCheckpoint } from '../../src/transparency/checkpoint.js';
import { parseNote, parseVerifierKey } from '../../src/transparency/signed-note.js';
import { formatPolicy, openByPolicy } from '../../src/transparency/tlog-policy.js';
import { openNote } from '../../src/verify/log-check.store.js';
import { handedKeys } from '../../src/verify/log-keys.js';
import { AT, openBooks, type OpenBooks } from './books.js';

/** The keys and names of logs, changed as an operator does it, with restarts in between. */

let books: OpenBooks;
let log: LogService;
beforeEach(async () => {
  books = await openBooks();
  ({ log } = books);
});
afterEach(() => books.close());

describe('keys are changed', () => {
  test('over a time in which both sign, and history stays good by both', async () => {
    const notes = [await signed()];
    const [old] = log.verifierKeys('street');
    const { logs } = (await run('change-log-keys', { begin: true })).document as {
      logs: { microgrid: string; old: string; new: string }[];
    };
    const next = logs.find(({ microgrid }) => microgrid === 'street')!.new;
    expect(logs.find(({ microgrid }) => microgrid === 'street')!.old).toBe(old);
    // A service that still runs signs on with the old key, as what is served says.
    notes.push(await signed());
    expect(namesOf(notes[1]!)).toHaveLength(1);
    await expect(run('change-log-keys', { finish: true })).rejects.toThrow('no change of keys');

    restart();
    await expect(run('change-log-keys', { finish: true })).rejects.toThrow(
      'not signed with the new key yet',
    );
    await expect(run('change-log-keys', { begin: true })).rejects.toThrow('being changed already');
    notes.push(await signed());
    expect(namesOf(notes[2]!)).toHaveLength(2);
    expect(log.verifierKey('street')).toBe(next);
    // Whoever knows either key alone takes it, and so does the policy, which has both.
    for (const vkey of [old!, next]) expect(opens(notes[2]!, vkey)).toBe('verified');
    expect(log.policy('street').logs).toHaveLength(2);
    expect(openByPolicy(notes[2]!, log.policy('street')).outcome).toBe('verified');
    expect(openByPolicy(notes[0]!, log.policy('street')).outcome).toBe('verified');

    await run('change-log-keys', { finish: true });
    restart();
    notes.push(await signed());
    expect(opens(notes[3]!, next)).toBe('verified');
    expect(opens(notes[3]!, old!)).toBe('not_signed_by_log');
    expect(log.policy('street').logs).toHaveLength(1);
    // The secret is gone, and what it signed is still checked.
    const seeds = await readFile(join(books.settings.dataDir, 'keys', 'log.seed'), 'utf8');
    expect(seeds.trim().split('\n')).toHaveLength(1);
    expect(log.verifierKeys('street')).toEqual([old, next]);
    for (const keys of [log, handedKeys([old!, next])]) {
      expect(notes.map((note) => typeof openNote(note, 'street', keys))).toEqual(
        Array.from({ length: 4 }, () => 'object'),
      );
    }
    expect(await books.database.query(`SELECT size FROM checkpoint ORDER BY size`)).toHaveLength(4);
  });

  test('again, and a seed that is damaged is not taken for a new one', async () => {
    await signed();
    for (let time = 0; time < 2; time += 1) {
      await run('change-log-keys', { begin: true });
      restart();
      await signed();
      await run('change-log-keys', { finish: true });
      restart();
    }
    expect(log.verifierKeys('street')).toHaveLength(3);
    expect((await signed()).length).toBeGreaterThan(0);
    await writeFile(join(books.settings.dataDir, 'keys', 'log.seed'), 'half a se');
    expect(() => new LogService(books.settings)).toThrow('log.seed is damaged');
  });
});

describe('a log is begun anew', () => {
  test('where records that were published are lost, and commits to where the old one ended', async () => {
    const lost = await elsewhere(8);
    await signed();
    const file = join(books.settings.dataDir, 'kept');
    await writeFile(file, lost);
    const begun = (await run('new-origin', { microgrid: 'street', checkpoint: file })).document;
    expect(begun).toMatchObject({
      origin: 'grid.example/log/r2/street',
      previousOrigin: 'grid.example/log/street',
      checkpointSize: 8,
      sequence: 3,
    });
    restart();
    const [record] = await books.ledger.recordsAt(books.database, 'street', [3]);
    expect(record!.facts).toMatchObject({ action: 'log-begun-anew', checkpoint: lost });
    const note = (await log.sign(books.database, 'street'))!.note;
    expect(note.split('\n').slice(0, 2)).toEqual(['grid.example/log/r2/street', '3']);
    expect(opens(note, log.verifierKey('street'))).toBe('verified');
    // Under either name, what was signed before is the log's.
    const [first] = await books.database.query<{ note: string }>(
      `SELECT note FROM checkpoint ORDER BY size LIMIT 1`,
    );
    for (const one of [first!.note, note]) {
      expect(openNote(one, 'street', log)).toMatchObject({ size: expect.any(Number) });
    }
    expect(Buffer.from(formatPolicy(log.policy('street'))).toString()).toMatch(
      /^log grid\.example\/log\/r2\/street\+/,
    );
    expect(log.origin('avenue')).toBe('grid.example/log/avenue');
  });

  test('not where nothing is lost, nor on the word of a stranger', async () => {
    const early = await signed();
    await signed();
    const file = join(books.settings.dataDir, 'kept');
    await writeFile(file, early);
    const begin = () => run('new-origin', { microgrid: 'street', checkpoint: file });
    await expect(begin()).rejects.toThrow('contains this checkpoint of 2 records');
    await writeFile(file, early.replace('\n2\n', '\n9\n'));
    await expect(begin()).rejects.toThrow('that its key has signed');
    await writeFile(file, 'nothing');
    await expect(begin()).rejects.toThrow('that its key has signed');
    await expect(run('new-origin', { microgrid: 'street' })).rejects.toThrow('No witness shows');
    await expect(run('new-origin', { microgrid: 'elsewhere' })).rejects.toThrow('no microgrid');
    expect(log.origin('street')).toBe('grid.example/log/street');
    expect(await books.ledger.head(books.database, 'street')).toBe(4);
  });
});

/** Two records more, and the checkpoint over them. */
async function signed(): Promise<string> {
  await books.append(books.note(2));
  return (await log.sign(books.database, 'street'))!.note;
}

/** A checkpoint of the same log over records that this database does not have. */
async function elsewhere(count: number): Promise<string> {
  const other = await openBooks();
  try {
    await other.append(other.note(count));
    const { note } = (await new LogService(books.settings).sign(other.database, 'street'))!;
    return note;
  } finally {
    await other.close();
  }
}

function restart(): void {
  log = new LogService(books.settings);
}

function namesOf(note: string): string[] {
  return parseNote(note).signatures.map(({ name }) => name);
}

function opens(note: string, vkey: string): string {
  const key = parseVerifierKey(vkey);
  return openCheckpoint(note, { origin: key.name, log: key }).outcome;
}

/** A command of `npm run operator` on these books. */
function run(command: string, options: Record<string, string | boolean>) {
  const services = new Map<unknown, unknown>([
    [DatabaseService, books.database],
    [LogService, log],
    [LedgerService, books.ledger],
    [PublicationService, new PublicationService(books.settings, books.database, log)],
    [MarketClockService, { now: () => Promise.resolve(AT) }],
    [
      PartiesService,
      {
        microgrids: () => Promise.resolve([{ microgridId: 'avenue' }, { microgridId: 'street' }]),
        microgrid: (_: unknown, id: string) => Promise.resolve(id === 'street' ? {} : null),
      },
    ],
  ]);
  const given: Given = {
    positional: [],
    text: (option) => String(options[option]),
    optional: (option) =>
      typeof options[option] === 'string' ? String(options[option]) : undefined,
    list: () => [],
    flag: (option) => options[option] === true,
  };
  const app = { get: (token: unknown) => services.get(token) } as INestApplicationContext;
  return LOG_COMMANDS[command]!.run(app, given);
}
