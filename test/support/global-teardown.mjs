import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Stops the run's server, if a test started it, and removes the folder of the run. */
export default async function globalTeardown() {
  const lockFile = join(process.env.TEST_DATABASE_DIR, 'postgres', 'postmaster.pid');
  const pid = Number((await readFile(lockFile, 'utf8').catch(() => '')).split('\n')[0]);
  // PostgreSQL's "immediate shutdown": nothing here is worth a checkpoint.
  if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGQUIT');
  while (pid > 0 && isAlive(pid)) await sleep(10);
  await rm(process.env.TEST_FOLDER, { recursive: true, force: true, maxRetries: 5 });
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
