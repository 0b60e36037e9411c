import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseService } from '../database/database.service.js';
import { startServer, stopServer } from '../database/embedded-postgres.service.js';
import type { Scratch } from './bundle-verification.service.js';

/**
 * An empty database with our schema on a PostgreSQL server of its own, in a temporary folder that is
 * gone afterwards: verifying a bundle needs neither the service nor its database.
 * @throws EmbeddedPostgresProblem where no server can run
 */
export async function scratchDatabase(): Promise<Scratch> {
  const folder = await mkdtemp(join(tmpdir(), 'neighborwatt-verify-'));
  // For root, the server runs as another user, who has to get there.
  await chmod(folder, 0o711);
  const dataDir = join(folder, 'data');
  const drop = async () => {
    await stopServer(dataDir);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const ownerUrl = (await startServer(dataDir, { durable: false })).urls.owner;
    const database = await DatabaseService.open({ url: ownerUrl, role: 'owner', poolSize: 2 });
    await database.close();
    return { ownerUrl, drop };
  } catch (error) {
    await drop();
    throw error;
  }
}
