import { chmod, mkdir, mkdtemp, statfs } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Makes the folder in which everything of the run lies: the server that the first test which needs a
 * database starts, and what tests and the programs they start keep for a while.
 */
export default async function globalSetup() {
  const folder = await mkdtemp(join(await roomiest(), 'neighborwatt-test-'));
  const server = join(folder, 'server');
  await mkdir(server);
  // For root, the server runs as another user.
  for (const path of [folder, server]) await chmod(path, 0o711);
  process.env.TEST_FOLDER = folder;
  process.env.TEST_DATABASE_DIR = server;
  process.env.TMPDIR = folder;
}

/**
 * In memory where there is plenty: each database is a thousand files, and ext4 takes its time over
 * files made where others were removed a moment ago.
 */
async function roomiest() {
  const shared = await statfs(IN_MEMORY).catch(() => null);
  const isRoomy = shared !== null && shared.bavail * shared.bsize >= ROOM && freemem() >= 2 * ROOM;
  return isRoomy ? IN_MEMORY : tmpdir();
}

const IN_MEMORY = '/dev/shm';
const ROOM = 3 * 1024 ** 3;
