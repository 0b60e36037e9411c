import type { Settings } from '../config.js';
import { DatabaseService } from './database.service.js';
import { EmbeddedPostgres } from './embedded-postgres.service.js';
import type { Role } from './rights.js';

/**
 * The database of these settings, with every connection acting as `role`: the one at `databaseUrl`,
 * or else the embedded one in `dataDir`, which is left again when the database is closed. Of a log-in
 * that is not set, that of the owner takes the place, and of the owner's that of the service.
 * @throws EmbeddedPostgresProblem when the embedded server cannot be used
 */
export async function openDatabase(
  settings: Pick<Settings, 'databaseUrl' | 'dataDir' | 'databasePoolSize'> &
    Partial<Pick<Settings, 'databaseOwnerUrl' | 'databaseEraserUrl'>>,
  role: Role = 'service',
): Promise<DatabaseService> {
  const poolSize = settings.databasePoolSize;
  if (settings.databaseUrl !== undefined) {
    const { databaseUrl, databaseOwnerUrl: ownerUrl = databaseUrl } = settings;
    const { databaseEraserUrl = ownerUrl } = settings;
    const urls = { owner: ownerUrl, service: databaseUrl, eraser: databaseEraserUrl };
    return DatabaseService.open({ url: urls[role], ownerUrl, role, poolSize });
  }
  const server = await EmbeddedPostgres.join(settings.dataDir);
  const afterClose = (): Promise<void> => server.leave();
  try {
    return await DatabaseService.open({
      url: server.urlOf(role),
      ownerUrl: server.urlOf('owner'),
      role,
      poolSize,
      afterClose,
    });
  } catch (error) {
    await server.leave();
    throw error;
  }
}
