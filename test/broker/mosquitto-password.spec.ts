import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { hashSecret, isSecretHash, verifySecret } from '../../src/broker/mosquitto-password.js';
import { hasProgram } from '../support/require.js';

it('a secret fits its own hash and no other', async () => {
  const hashed = await hashSecret('sunny street', randomBytes(12));
  expect(hashed).toMatch(/^\$7\$101\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}==$/);
  expect(isSecretHash(hashed)).toBe(true);
  expect(await verifySecret('sunny street', hashed)).toBe(true);
  expect(await verifySecret(Buffer.from('sunny street'), hashed)).toBe(true);
  expect(await verifySecret('sunny streeT', hashed)).toBe(false);
  expect(await verifySecret('', hashed)).toBe(false);
});

it('the same secret, salt and iterations give the same text', async () => {
  const salt = Buffer.from('000102030405060708090a0b', 'hex');
  expect(await hashSecret('a', salt, 1000)).toBe(await hashSecret('a', salt, 1000));
  expect(await hashSecret('a', salt, 1000)).not.toBe(await hashSecret('a', salt, 1001));
});

it.each([
  '',
  'secret',
  '$6$abc$def',
  '$7$0$AAAA$AAAA',
  '$7$101$AAAA$AAAA',
  `$7$9999999$AAAA$${Buffer.alloc(64).toString('base64')}`,
])('%j is no hash, and nothing fits it', async (text) => {
  expect(isSecretHash(text)).toBe(false);
  expect(await verifySecret('', text)).toBe(false);
});

const itWithMosquitto = hasProgram('mosquitto_passwd') ? it : it.skip;

itWithMosquitto('mosquitto_passwd writes what we verify', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'neighborwatt-passwd-'));
  try {
    const file = join(folder, 'passwords');
    await writeFile(file, 'meter-1:sunny street\nmeter-2:rainy street\n', { mode: 0o600 });
    expect(spawnSync('mosquitto_passwd', ['-U', file]).status).toBe(0);
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    const hashes = lines.map((line) => line.slice(line.indexOf(':') + 1));
    expect(await verifySecret('sunny street', hashes[0]!)).toBe(true);
    expect(await verifySecret('rainy street', hashes[0]!)).toBe(false);
    expect(await verifySecret('rainy street', hashes[1]!)).toBe(true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
