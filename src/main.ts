import 'reflect-metadata';
import { loadSettings } from './config.js';
import { startService } from './service.js';

/** The service alone. Settings come from the environment; see docs/settings.md. */
try {
  const settings = loadSettings(process.env);
  const service = await startService(settings, process.env['BOOTSTRAP_LOGINS'] || undefined);
  // Whoever started it over a channel is gone, and nobody else knows of it.
  process.once('disconnect', () => void service.stop().then(() => process.exit(0)));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
