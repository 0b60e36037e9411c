import type { Settings } from '../config.js';
import { DatabaseService } from './database.service.js';
import { EmbeddedPostgres } from './embedded-postgres.service.js';

/**
 * The database of these settings: the one at `databaseUrl`, or else the embedded one in `dataDir`,
 * which is left again when the database is closed.
 * @throws EmbeddedPostgresProblem when the embedded server cannot be used
 */
export async function openDatabase(
  settings: Pick<Settings, 'databaseUrl' | 'dataDir' | 'databasePoolSize'>,
): Promise<DatabaseService> {
  const poolSize = settings.databasePoolSize;
  if (settings.databaseUrl !== undefined) {
    return DatabaseService.open({ url: settings.databaseUrl, poolSize });
  }
  const server = await EmbeddedPostgres.join(settings.dataDir);
  const afterClose = (): Promise<void> => server.leave();
  try {
    return await DatabaseService.open({ url: server.url, poolSize, afterClose });
  } catch (error) {
    await server.leave();
    throw error;
  }
}
