import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Names the folder in which the first test that needs a database starts the run's one server. */
export default async function globalSetup() {
  const folder = await mkdtemp(join(tmpdir(), 'neighborwatt-test-'));
  // For root, the server runs as another user.
  await chmod(folder, 0o711);
  process.env.TEST_DATABASE_DIR = folder;
}
