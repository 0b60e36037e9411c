import { spawnSync } from 'node:child_process';

/**
 * Whether a program is installed. Its absence is a reason to skip a test, said aloud, and a failure
 * under REQUIRE_ALL=1.
 */
export function hasProgram(name: string, args: readonly string[] = ['-h']): boolean {
  const absent = spawnSync(name, args, { stdio: 'ignore' }).error !== undefined;
  if (absent && process.env.REQUIRE_ALL === '1') throw new Error(`${name} is not installed.`);
  if (absent) process.stderr.write(`Skipped: ${name} is not installed.\n`);
  return !absent;
}
