#!/usr/bin/env node
/**
 * node scripts/make-env.mjs [--demo] [--dir DIR]: makes what docker-compose.yml needs and nobody
 * else may know: `.env` with random secrets, and the service's user for Mosquitto. With --demo the
 * simulated street runs beside the service, on the simulated clock. Overwrites nothing.
 */
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `node scripts/make-env.mjs [--demo] [--dir DIR]

Makes .env and docker/access/ with random secrets for docker-compose.yml. Run it once.

  --demo     run the simulated street too, on the simulated clock
  --dir DIR  where the compose file lies (default the current folder)
`;

/** Mosquitto's user for the service. */
const SERVICE_USER = 'neighborwatt';

try {
  main();
} catch (error) {
  const reason =
    error.code === 'EEXIST'
      ? `${error.path} exists and stays as it is: its secrets are in use. Remove it to make new ones.`
      : error.message;
  process.stderr.write(`make-env: ${reason}\n`);
  process.exitCode = 1;
}

function main() {
  const { values } = parseArgs({
    options: {
      demo: { type: 'boolean', default: false },
      dir: { type: 'string', default: '.' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const mqttPassword = secret();
  const access = join(values.dir, 'docker/access');
  // First, and only if there is none: what follows belongs to it.
  write(join(values.dir, '.env'), environment({ demo: values.demo, mqttPassword }));
  mkdirSync(access, { recursive: true, mode: 0o700 });
  write(join(access, 'passwords'), `${SERVICE_USER}:${mosquittoHash(mqttPassword)}\n`);
  write(join(access, 'acl'), accessRules());
  process.stdout.write(`Made .env and docker/access/ in ${values.dir}\n`);
}

function environment({ demo, mqttPassword }) {
  return `# Secrets of this deployment, made by scripts/make-env.mjs. Keep it, and keep it to yourself.
POSTGRES_PASSWORD=${secret()}
DATABASE_SERVICE_PASSWORD=${secret()}
DATABASE_ERASER_PASSWORD=${secret()}
MQTT_USERNAME=${SERVICE_USER}
MQTT_PASSWORD=${mqttPassword}
METRICS_TOKEN=${secret()}
# Names the logs in their checkpoints: set your own name before the first start, then never again.
LOG_ORIGIN=neighborwatt.local
MARKET_CLOCK=${demo ? 'simulated' : 'system'}
# A first operator and the simulator get their log-ins here; empty where people make their own.
BOOTSTRAP_LOGINS=${demo ? '/data/bootstrap-logins.json' : ''}
# 1 when a proxy of yours, which terminates TLS, stands in front of the service.
TRUST_PROXY=0
# Set to demo where the simulated street runs beside the service.
COMPOSE_PROFILES=${demo ? 'demo' : ''}
`;
}

/** Until a device is enrolled there is nobody but the service; the patterns are for the devices. */
function accessRules() {
  return `# A meter writes its own topics; the device of a household reads its settlements.
pattern write microgrids/+/meters/%u/#
pattern read microgrids/+/households/%u/settlements

user ${SERVICE_USER}
topic read microgrids/+/meters/+/readings
topic write microgrids/+/households/+/settlements
`;
}

/** 256 bits, without characters that mean something in a URL or a compose file. */
function secret() {
  return randomBytes(32).toString('base64url');
}

/** Mosquitto's own form: $7$, PBKDF2-SHA512. A random secret needs no more rounds than its own 101. */
function mosquittoHash(password) {
  const salt = randomBytes(12);
  const hash = pbkdf2Sync(password, salt, 101, 64, 'sha512');
  return `$7$101$${salt.toString('base64')}$${hash.toString('base64')}`;
}

function write(file, text) {
  writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
}
