import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  ALGORITHM,
  formatVerifierKey,
  parseVerifierKey,
  verifierKeyOf,
  type VerifierKey,
} from '../transparency/signed-note.js';
import { parsePolicy } from '../transparency/tlog-policy.js';
import { witnessServer } from '../witness-server.js';
import { WitnessStore } from '../witness-store.js';

/** `npm run witness`: a witness of transparency logs that anyone can run, of ours and of others'. */

const HELP = `npm run witness -- --store DIR (--log VKEY... | --logs FILE) [options]

A C2SP tlog-witness: cosigns the checkpoints of the logs it is told of, each only if it appends to the
one before, and never forgets which that was. It needs no database and not the service. On its first
run it makes its key; its verifier key, which the operators of logs and those who check them need, is
printed at every start. Point a log at http://HOST:PORT (docs/witness.md).

  --store DIR    what it must never forget; one process at a time, never restored from a backup
  --log VKEY     verifier key of a log to cosign; may be repeated, also for two keys of one log
  --logs FILE    a C2SP tlog-policy whose log lines are the logs; read again whenever it changes
  --key FILE     its own key (default DIR/witness.key)
  --name NAME    name of a key that is to be made, like example.com/witness (default a random one)
  --host HOST    address to listen on (default 127.0.0.1)
  --port N       port to listen on, 0 for any free one (default 7380)
  --prefix PATH  path before those of the protocol, like /witness
  --vkey-file F  writes its verifier key there as well, once it listens
  --json         one JSON document on standard output, once it listens
`;

function main(): void {
  const { values } = parseArgs({
    options: {
      store: { type: 'string' },
      log: { type: 'string', multiple: true, default: [] },
      logs: { type: 'string' },
      key: { type: 'string' },
      name: { type: 'string' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '7380' },
      prefix: { type: 'string', default: '' },
      'vkey-file': { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (values.store === undefined) throw new Error('--store DIR is missing; see --help.');
  if (values.log.length === 0 && values.logs === undefined) {
    throw new Error('no log to cosign: give --log VKEY or --logs FILE; see --help.');
  }
  const port = portOf(values.port);
  if (!/^(\/[A-Za-z0-9._~-]+)*$/.test(values.prefix)) {
    throw new Error('--prefix is a path like /witness, without a slash at its end.');
  }
  const logs = new KnownLogs(values.log, values.logs);
  const store = WitnessStore.open(values.store);
  try {
    const name = values.name ?? `witness.local/${randomBytes(4).toString('hex')}`;
    const key = store.readOrMakeKey(values.key ?? join(values.store, 'witness.key'), name);
    const verifierKey = formatVerifierKey(verifierKeyOf(key));
    const server = witnessServer({
      store,
      key,
      keysOf: (origin) => logs.keysOf(origin),
      prefix: values.prefix,
      onFault: (error) => process.stderr.write(`witness: ${String(error)}\n`),
    });
    const end = (status: number): void => {
      // Nothing is under way between two requests: what was answered is on the disk.
      store.close();
      process.exit(status);
    };
    server.once('error', (error) => {
      process.stderr.write(`witness: ${error.message}\n`);
      end(1);
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end(0));
    // Whoever started it over a channel is gone, and nobody else knows of it.
    process.once('disconnect', () => end(0));
    server.listen(port, values.host, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address ? address.port : port;
      const url = `http://${values.host.includes(':') ? `[${values.host}]` : values.host}:${bound}${values.prefix}`;
      if (values['vkey-file']) writeFileSync(values['vkey-file'], `${verifierKey}\n`);
      process.stdout.write(
        values.json
          ? `${JSON.stringify({ verifierKey, url })}\n`
          : `The verifier key of this witness is\n\n  ${verifierKey}\n\nIt cosigns at ${url}\n`,
      );
      process.send?.({ verifierKey, url });
    });
  } catch (error) {
    store.close();
    throw error;
  }
}

/** The logs of the command line and of a file, which may change while the witness runs. */
class KnownLogs {
  private readonly given: readonly VerifierKey[];
  private listed: readonly VerifierKey[] = [];
  private readAs = '';
  private fault = '';

  constructor(
    vkeys: readonly string[],
    private readonly file: string | undefined,
  ) {
    this.given = vkeys.map(parseVerifierKey);
    const wrong = this.given.find(({ algorithm }) => algorithm !== ALGORITHM.ed25519);
    if (wrong) throw new Error(`${wrong.name} is not the Ed25519 key of a log`);
  }

  keysOf(origin: string): VerifierKey[] {
    this.readAgain();
    const keys = [...this.given, ...this.listed].filter(({ name }) => name === origin);
    return keys.filter((key, at) => keys.findIndex((one) => sameKey(one, key)) === at);
  }

  /** A file that is absent or broken for a moment leaves the logs as they were. */
  private readAgain(): void {
    if (this.file === undefined) return;
    try {
      const { mtimeMs, size, ino } = statSync(this.file);
      const readAs = `${mtimeMs} ${size} ${ino}`;
      if (readAs === this.readAs) return;
      this.listed = parsePolicy(readFileSync(this.file))
        .logs.map(({ key }) => key)
        .filter(({ algorithm }) => algorithm === ALGORITHM.ed25519);
      this.readAs = readAs;
      this.fault = '';
    } catch (error) {
      const fault = String(error);
      if (fault !== this.fault)
        process.stderr.write(`witness: ${this.file} is not read: ${fault}\n`);
      this.fault = fault;
    }
  }
}

function sameKey(a: VerifierKey, b: VerifierKey): boolean {
  return formatVerifierKey(a) === formatVerifierKey(b);
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new Error('--port is a number from 0 to 65535.');
  return port;
}

try {
  main();
} catch (error) {
  process.stderr.write(`witness: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
