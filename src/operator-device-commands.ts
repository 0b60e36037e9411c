import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { DatabaseService } from './database/database.service.js';
import type { Sql } from './database/database.service.js';
import { UsageError, type Command, type Given, type Outcome } from './operator-command.js';
import { DeviceService } from './parties/device.service.js';
import { MeterKeyService } from './parties/meter-key.service.js';
import type { IssuedSecret } from './parties/microgrid.js';
import {
  mosquittoAcl,
  mosquittoConfiguration,
  mosquittoPasswords,
  type Listeners,
} from './parties/mosquitto-files.js';
import { COMMAND_LINE } from './parties/people.js';

/** The commands of `npm run operator` for secrets and keys of devices, and a broker that knows them. */

const BY = COMMAND_LINE.personId;
const TEXT = { type: 'string' } as const;

export const DEVICE_COMMANDS: Readonly<Record<string, Command>> = {
  'rotate-secret': {
    usage: '--microgrid M --device ID [--secrets FILE]',
    summary: 'a new secret for a meter, gateway or household device',
    options: { microgrid: TEXT, device: TEXT, secrets: TEXT },
    required: ['microgrid', 'device'],
    run: rotateSecret,
  },
  'revoke-secret': {
    usage: '--microgrid M --device ID',
    summary: "end a device's access",
    options: { microgrid: TEXT, device: TEXT },
    required: ['microgrid', 'device'],
    run: revokeSecret,
  },
  'register-key': {
    usage: '--microgrid M --meter ID --key FILE_OR_KEY',
    summary: 'a public key of a meter: from now on it is believed only with a signature',
    help: `The key is PEM, or in hexadecimal or base64 the 32 bytes of an Ed25519 key; given itself, or as a
file that holds it. It takes the place of an earlier key at once. docs/secure-meters.md says what is signed.`,
    options: { microgrid: TEXT, meter: TEXT, key: TEXT },
    required: ['microgrid', 'meter', 'key'],
    run: registerKey,
  },
  'revoke-key': {
    usage: '--microgrid M --meter ID',
    summary: 'end the key of a meter: nothing of it counts until another is registered',
    options: { microgrid: TEXT, meter: TEXT },
    required: ['microgrid', 'meter'],
    run: revokeKey,
  },
  mosquitto: {
    usage: '--out DIR [--service USER] [--certificate FILE --key FILE [--ca FILE]] [...]',
    summary: 'password file, ACL and configuration for a Mosquitto of your own',
    help: `Writes DIR/passwords, DIR/acl and DIR/mosquitto.conf (mosquitto -c DIR/mosquitto.conf, or include it).
Run it again after enrolling, rotating or revoking, and let Mosquitto reload: kill -HUP, or systemctl
reload mosquitto. A reload also ends the connections of who is not in the files any more. The files are
the owner's alone: give DIR to Mosquitto's user (chown -R mosquitto: DIR).
  --service USER          the service's own user; when it is new, its secret goes to DIR/service-secret
  --certificate FILE      certificate chain of the listener for meters, PEM; without it there is none
  --key FILE              its private key
  --ca FILE               ask meters for a client certificate of this authority: its CN is the user
  --port N                of the listener for meters (default 8883)
  --host ADDRESS          of the listener for the service (default 127.0.0.1), and --service-port N (1883)
  --autosave-seconds N    write queued messages down every N seconds instead of at every change: faster,
                          and a crash of Mosquitto loses those of N seconds that the service had not yet`,
    options: {
      out: TEXT,
      service: TEXT,
      certificate: TEXT,
      key: TEXT,
      ca: TEXT,
      port: TEXT,
      host: TEXT,
      'service-port': TEXT,
      'autosave-seconds': TEXT,
    },
    required: ['out'],
    run: mosquitto,
  },
};

async function rotateSecret(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const secrets = given.optional('secrets');
  const issued = await transaction(app, async (sql) => {
    const one = await app
      .get(DeviceService)
      .rotateSecret(sql, given.text('microgrid'), given.text('device'), BY);
    if (secrets !== undefined) await writeSecrets(secrets, [one]);
    return one;
  });
  if (secrets === undefined) return { document: issued, text: listed([issued]) };
  const { username, kind } = issued;
  return { document: { username, kind, secrets }, text: `The secret is in ${secrets}.` };
}

async function revokeSecret(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const device = given.text('device');
  await transaction(app, (sql) =>
    app.get(DeviceService).revoke(sql, given.text('microgrid'), device, BY),
  );
  return { document: { device, revoked: true }, text: `${device} has no access any more.` };
}

async function registerKey(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const meter = given.text('meter');
  const publicKey = await keyText(given.text('key'));
  const document = await transaction(app, (sql) =>
    app.get(MeterKeyService).register(sql, given.text('microgrid'), meter, { publicKey }, BY),
  );
  const text = `Key ${document.number} of ${meter} holds: what it does not sign is refused.`;
  return { document, text };
}

async function revokeKey(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const meter = given.text('meter');
  const document = await transaction(app, (sql) =>
    app.get(MeterKeyService).revoke(sql, given.text('microgrid'), meter, BY),
  );
  return { document, text: `Nothing of ${meter} counts until another key is registered.` };
}

/** What the option holds, or the file that it names. */
async function keyText(option: string): Promise<string> {
  if (option.includes('-----BEGIN') || /^[A-Za-z0-9+/_=-]{40,}$/.test(option)) return option;
  try {
    return await readFile(option, 'utf8');
  } catch {
    throw new UsageError(`--key is neither a key nor a file that can be read: ${option}.`);
  }
}

async function mosquitto(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const out = resolve(given.text('out'));
  const configuration = mosquittoConfiguration(listenersOf(given, out));
  const service = given.optional('service');
  const devices = app.get(DeviceService);
  await mkdir(join(out, 'data'), { recursive: true });
  const { credentials, meters, topics } = await transaction(app, async (sql) => {
    const issued = service === undefined ? null : await devices.enrolService(sql, service);
    if (issued) await writePrivately(join(out, 'service-secret'), `${issued.secret}\n`, 'wx');
    return devices.credentials(sql);
  });
  await writePrivately(join(out, 'passwords'), mosquittoPasswords(credentials), 'w');
  await writePrivately(join(out, 'acl'), mosquittoAcl(credentials, meters, topics), 'w');
  await writePrivately(join(out, 'mosquitto.conf'), configuration, 'w');
  const text = `Wrote passwords, acl and mosquitto.conf for ${credentials.length} users to ${out}. Let Mosquitto reload: kill -HUP.`;
  return { document: { out, users: credentials.length }, text };
}

/** @throws UsageError on half a TLS listener, or a port that is none */
function listenersOf(given: Given, folder: string): Listeners {
  const [certificate, key, ca] = ['certificate', 'key', 'ca'].map((option) => {
    const file = given.optional(option);
    return file === undefined ? undefined : resolve(file);
  });
  if ((certificate === undefined) !== (key === undefined)) {
    throw new UsageError('--certificate and --key belong together.');
  }
  if (ca !== undefined && certificate === undefined) {
    throw new UsageError('--ca needs --certificate and --key.');
  }
  const port = (option: string, fallback: number): number => {
    const text = given.optional(option);
    if (text === undefined) return fallback;
    const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (number < 1 || number > 65_535) throw new UsageError(`--${option} must be a port.`);
    return number;
  };
  const seconds = given.optional('autosave-seconds');
  if (seconds !== undefined && !/^[1-9]\d{0,5}$/.test(seconds)) {
    throw new UsageError('--autosave-seconds must be a whole number above zero.');
  }
  return {
    folder,
    service: { host: given.optional('host') ?? '127.0.0.1', port: port('service-port', 1883) },
    meters:
      certificate === undefined || key === undefined
        ? null
        : { port: port('port', 8883), certificate, key, ca: ca ?? null },
    autosaveSeconds: seconds === undefined ? null : Number(seconds),
  };
}

/** Within the transaction: were the file not writable, nobody would ever know the secrets. */
export async function writeSecrets(file: string, items: readonly IssuedSecret[]): Promise<void> {
  await writePrivately(file, `${JSON.stringify({ items }, null, 2)}\n`, 'wx');
}

async function writePrivately(file: string, text: string, flag: 'w' | 'wx'): Promise<void> {
  await writeFile(file, text, { flag, mode: 0o600 });
}

export function listed(items: readonly IssuedSecret[]): string {
  const lines = items.map(({ username, kind, secret }) => `${username}  ${kind}  ${secret}`);
  return ['Secrets, shown only now:', ...lines].join('\n');
}

function transaction<T>(app: INestApplicationContext, work: (sql: Sql) => Promise<T>): Promise<T> {
  return app.get(DatabaseService).transaction(work);
}
