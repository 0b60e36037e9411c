import 'reflect-metadata';
import { loadSettings } from './config.js';
import { startService } from './service.js';

/** The service alone. Settings come from the environment; see docs/settings.md. */
try {
  await startService(loadSettings(process.env), process.env['BOOTSTRAP_LOGINS'] || undefined);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
