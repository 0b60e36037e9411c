import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from './config.js';
import { LogService } from './ledger/log.service.js';
import { handedKeys, type LogKeys } from './verify/log-keys.js';
import { trustInKey, type LogTrust } from './verify/log-trust.js';

/** The keys by which a command judges this deployment's logs: its own seed, or what it was handed. */

/** A new seed would only make every signature look wrong: without one, the key must be given. */
export function keysAtHand(settings: Settings, vkeys: readonly string[]): LogKeys {
  return vkeys.length > 0 ? handedKeys(vkeys) : ownLogs(settings);
}

/** Whose signatures count for a microgrid's log, with the witnesses where the seed is at hand. */
export function trustAtHand(
  settings: Settings,
  vkeys: readonly string[],
  microgrid: string,
): LogTrust {
  if (vkeys.length > 0) return trustInKey(handedKeys(vkeys).verifierKey(microgrid));
  const logs = ownLogs(settings);
  return { origin: logs.origin(microgrid), policy: logs.policy(microgrid) };
}

function ownLogs(settings: Settings): LogService {
  const seed = join(settings.dataDir, 'keys', 'log.seed');
  if (existsSync(seed)) return new LogService(settings);
  throw new Error(`there is no ${seed} to check signatures with: set DATA_DIR, or give --vkey.`);
}
