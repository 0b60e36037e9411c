import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatManifest, MANIFEST, parseManifest, type Receiver } from '../../src/verify/bundle.js';
import { NOT_EXPORTED, ROWS_OF_MICROGRID } from '../../src/verify/bundle-tables.store.js';
import { verifyBundle, type BundleReport } from '../../src/verify/bundle-verification.service.js';
import {
  exportBundle,
  ExportRefused,
  type ExportRequest,
} from '../../src/verify/export.service.js';
import { formatTilePath, TILE_WIDTH } from '../../src/transparency/tile.js';
import type { LogTrust } from '../../src/verify/log-trust.js';
import { COVERED_TABLES } from '../../src/verify/tables.js';
import { freshDatabase } from '../support/database.js';
import { openRooms, type Rooms } from './rooms.js';
import { STREET, tellStreet } from './street.js';
import { readColumns } from './tampering.js';

/** What is exported verifies, what was changed in it is named, and nobody finds more than is theirs. */

const RECEIVERS = ['regulator', 'auditor', 'operator'] as const;

/** How many changed tables are told again; each takes seconds. */
const TOLD_AGAIN = Number(process.env['TAMPER_ROUNDS'] ?? 3);
const SEED = Number(process.env['TAMPER_SEED'] ?? Date.now() % 1_000_000);

let rooms: Rooms;
let folder: string;
let trust: LogTrust;
let size: number;

beforeAll(async () => {
  rooms = await openRooms();
  await tellStreet(rooms);
  folder = await mkdtemp(join(tmpdir(), 'bundle-'));
  trust = { origin: rooms.log.origin(STREET), policy: rooms.log.policy(STREET) };
  await rooms.database.query(
    `INSERT INTO person_grant (person_id, role, microgrid_id, valid_from)
     VALUES ('regina', 'auditor', $1, '2026-06-01T08:00:00Z')`,
    [STREET],
  );
  size = (await rooms.log.latestCheckpoint(rooms.database, STREET))!.size;
  for (const receiver of RECEIVERS) await make(receiver, receiver, { person: 'regina' });
});
afterAll(async () => {
  await rooms.close();
  await rm(folder, { recursive: true });
});

describe('a bundle', () => {
  it.each(RECEIVERS)('verifies: for the %s', async (receiver) => {
    const { findings, log, openings, told } = await verified(receiver);
    expect(findings).toEqual([]);
    expect(log!.checkpoint.size).toBe(size);
    if (receiver === 'operator') expect(told).toMatchObject({ records: size, slots: 15 });
    else expect(openings).toBeGreaterThan(5);
  });

  it('verifies on its own word, and not under the key of another log', async () => {
    expect((await verified('regulator', null)).findings).toEqual([]);
    const other = { origin: trust.origin, policy: rooms.log.policy('elsewhere') };
    const { findings } = await verified('regulator', other);
    expect(findings.map(({ table }) => table)).toEqual(['vkey', 'policy', 'checkpoint']);
  });

  it('has a place, or a reason to have none, for every table', async () => {
    const { files } = await manifestOf('operator');
    const columns = await readColumns(rooms.database);
    for (const table of new Set(columns.map((one) => one.table))) {
      const isIn = files.some(({ path }) => path === `tables/${table}.csv`);
      expect({ table, isIn }).toEqual({ table, isIn: !(table in NOT_EXPORTED) });
      const isOfMicrogrid = columns.some(
        (one) => one.table === table && one.column === 'microgrid_id',
      );
      expect(isOfMicrogrid || table in NOT_EXPORTED || table in ROWS_OF_MICROGRID).toBe(true);
    }
  });

  it('is readable by its owner alone where it holds keys', async () => {
    expect((await stat(join(folder, 'operator'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, 'operator/tables/record_key.csv'))).mode & 0o777).toBe(0o600);
  });
});

describe('whoever is not the operator', () => {
  it.each(['regulator', 'auditor'])('finds nobody in it: %s', async (receiver) => {
    const { files } = await manifestOf(receiver);
    const text = Buffer.concat(
      await Promise.all(files.map(({ path }) => readFile(join(folder, receiver, path)))),
    );
    const secrets = await rooms.database.query<{ secret: string }>(`
      SELECT household_id AS secret FROM household UNION SELECT alias FROM household
      UNION SELECT meter_id FROM meter UNION SELECT gateway_id FROM gateway
      UNION SELECT person_id FROM person UNION SELECT name FROM person
      UNION SELECT secret_hash FROM mqtt_credential
      UNION SELECT encode(key, 'hex') FROM record_key
      UNION SELECT encode(key, 'base64') FROM record_key
      UNION SELECT encode(pseudonym_key, 'hex') FROM program
      UNION SELECT encode(cause_hash, 'base64') FROM record_head`);
    expect(secrets.length).toBeGreaterThan(300);
    // In JSON every text stands between quotes: three letters of base64 are nobody's name.
    const found = secrets
      .map(({ secret }) => secret.trim())
      .filter(
        (secret) => text.includes(`"${secret}"`) || (secret.length > 8 && text.includes(secret)),
      );
    expect(found).toEqual([]);
  });

  it('gets the public log alone unless it is made for somebody who is granted a look', async () => {
    await make('regulator', 'public', {});
    // On so small a street no window of a manifest is open.
    expect(await readFile(join(folder, 'public/openings.jsonl'), 'utf8')).toBe('');
    await expect(make('auditor', 'nobody', {})).rejects.toThrow(ExportRefused);
    await expect(make('auditor', 'nobody', { person: 'tenant-bert' })).rejects.toThrow(
      'tenant-bert has no grant as auditor',
    );
  });
});

describe('the folder', () => {
  it('that exists is not touched, and is extended only from the size it has', async () => {
    const out = 'public';
    const before = await manifestOf(out);
    await expect(make('regulator', out, {})).rejects.toThrow('exists already');
    await expect(make('regulator', out, { since: 7 })).rejects.toThrow(`has since ${size}, not 7`);
    await expect(make('auditor', out, { since: size, person: 'regina' })).rejects.toThrow(
      'has for regulator, not auditor',
    );
    expect(await manifestOf(out)).toEqual(before);
    await make('regulator', out, { since: size });
    expect(await manifestOf(out)).toEqual(before);
    expect((await verified(out)).findings).toEqual([]);
  });

  it('that somebody changed is not extended', async () => {
    const path = formatTilePath({ level: 0, tile: 0, width: Math.min(size, TILE_WIDTH) });
    await whileChanged('public', path, 'as it is', async () => {
      await expect(make('regulator', 'public', { since: size })).rejects.toThrow(`${path} sha256`);
    });
  });
});

describe(`a byte changed anywhere (TAMPER_SEED=${SEED})`, () => {
  it.each(RECEIVERS)('is named with its file: for the %s', async (receiver) => {
    const { files } = await manifestOf(receiver);
    for (const { path, bytes } of [...files, { path: MANIFEST, bytes: 1 }]) {
      if (bytes === 0) continue;
      const { findings } = await whileChanged(receiver, path, 'as it is', () => verified(receiver));
      expect({ path, first: findings[0]?.table }).toEqual({ path, first: path });
    }
  });

  it.each(['regulator', 'auditor'])(
    'is named although the manifest was made to fit: for the %s',
    async (receiver) => {
      const { files } = await manifestOf(receiver);
      for (const { path } of files) {
        const { findings } = await whileChanged(receiver, path, 'resealed', () =>
          verified(receiver),
        );
        expect({ path, found: findings.map(({ table }) => table) }).toEqual({
          path,
          found: expect.arrayContaining([path]),
        });
      }
    },
  );

  it('is named although the manifest was made to fit: in a table of the operator', async () => {
    const { files } = await manifestOf('operator');
    const covered = new Set(
      COVERED_TABLES.filter(({ uncovered }) => Object.keys(uncovered).length === 0).map(
        ({ table }) => `tables/${table}.csv`,
      ),
    );
    // A header alone is checked, but says nothing about rows.
    const tables = files.filter(({ path, bytes }) => covered.has(path) && bytes > 100);
    for (let round = 0; round < TOLD_AGAIN; round += 1) {
      const { path } = tables[numberOf(`table ${round}`) % tables.length]!;
      const { findings } = await whileChanged(
        'operator',
        path,
        'resealed',
        () => verified('operator'),
        1,
      );
      expect({ path, found: findings.map(({ table }) => table) }).toEqual({
        path,
        found: expect.arrayContaining([path]),
      });
    }
  });
});

async function make(receiver: Receiver, name: string, more: Partial<ExportRequest>): Promise<void> {
  const out = join(folder, name);
  await exportBundle(rooms.url, trust, { microgrid: STREET, receiver, out, ...more });
}

async function manifestOf(name: string) {
  return parseManifest(await readFile(join(folder, name, MANIFEST), 'utf8'));
}

function verified(name: string, given: LogTrust | null = trust): Promise<BundleReport> {
  return verifyBundle(join(folder, name), given, [], freshDatabase);
}

/**
 * What verifying says while one bit of a file is another, the manifest left as it is or made to fit.
 * @param bits which may change: in hexadecimal the sixth alone tells `a` from `A`, which mean the same
 */
async function whileChanged<T>(
  name: string,
  path: string,
  manifest: 'as it is' | 'resealed',
  look: () => Promise<T>,
  bits = 8,
): Promise<T> {
  const file = join(folder, name, path);
  const [bytes, said] = [await readFile(file), await readFile(join(folder, name, MANIFEST))];
  const changed = Buffer.from(bytes);
  const place = numberOf(`${name} ${path}`) % bytes.length;
  changed[place]! ^= 1 << (numberOf(`bit of ${path}`) % bits);
  await writeFile(file, changed);
  if (manifest === 'resealed') {
    const { files, ...facts } = await manifestOf(name);
    const sha256 = createHash('sha256').update(changed).digest('hex');
    const fitting = files.map((one) => (one.path === path ? { ...one, sha256 } : one));
    await writeFile(join(folder, name, MANIFEST), formatManifest({ ...facts, files: fitting }));
  }
  try {
    return await look();
  } finally {
    await writeFile(file, bytes);
    await writeFile(join(folder, name, MANIFEST), said);
  }
}

/** A number that follows from the seed. */
function numberOf(what: string): number {
  return createHash('sha256').update(`${SEED} ${what}`).digest().readUInt32BE();
}
