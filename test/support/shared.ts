import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Where a file of the `shared` folder beside the project lies, or null where it is absent: the test
 * that needs it then skips and says so. With REQUIRE_ALL=1 its absence is a failure.
 * @param path below `shared`, e.g. `vectors/transparency-log.json`
 */
export function sharedFile(path: string): string | null {
  const file = fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));
  if (existsSync(file)) return file;
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`required, but absent: ${file}`);
  process.stderr.write(`skipped: tests that need ../shared/${path}, which is absent\n`);
  return null;
}
