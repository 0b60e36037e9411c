import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { parseCheckpoint } from '../../src/transparency/checkpoint.js';
import {
  formatVerifierKey,
  parseNote,
  verifierKeyOf,
  type SignerKey,
} from '../../src/transparency/signed-note.js';
import { openByPolicy, parsePolicy } from '../../src/transparency/tlog-policy.js';
import { witnessServer } from '../../src/witness-server.js';
import { WitnessStore } from '../../src/witness-store.js';
import { buildProgram, RunningService, runCommand, tempFolder, until } from './program.js';
import { dayOf, MICROGRID, Stream } from './stream.js';

/**
 * The service is killed at every step between a transfer and its published checkpoint: it is brought
 * to stand still there, by a lock that a trigger takes or by a witness that does not answer, and ended
 * as the operating system does. In the end nothing is missing, nothing is there twice, and service and
 * witnesses know one log.
 */

const SEED = process.env['CRASH_SEED'] ?? 'witnessed';
const STEPS = 36;

interface Fault {
  step: string;
  /** The statement that stands still, or the witness that does. */
  at: { table: string; when: 'BEFORE INSERT' | 'BEFORE UPDATE' | 'COMMIT' } | 'asked' | 'answering';
}

const FAULTS: readonly Fault[] = [
  { step: 'posting transfers', at: { table: 'transfer', when: 'BEFORE INSERT' } },
  { step: 'logging the entries', at: { table: 'log_entry', when: 'BEFORE INSERT' } },
  { step: 'moving the head', at: { table: 'journal_head', when: 'BEFORE UPDATE' } },
  { step: 'committing the records', at: { table: 'record_head', when: 'COMMIT' } },
  { step: 'keeping what was signed', at: { table: 'checkpoint', when: 'BEFORE INSERT' } },
  { step: 'committing what was signed', at: { table: 'checkpoint', when: 'COMMIT' } },
  { step: 'asking the witnesses', at: 'asked' },
  { step: 'hearing of the cosignature', at: 'answering' },
  { step: 'publishing', at: { table: 'publication', when: 'BEFORE INSERT' } },
  { step: 'committing what was published', at: { table: 'publication', when: 'COMMIT' } },
];

describe('a service with two witnesses that is killed at every step', () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  let service: RunningService;
  let stream: Stream;
  let owner: pg.Client;
  let witnesses: StallingWitness[];
  const day = dayOf(SEED, STEPS);

  beforeAll(async () => {
    await buildProgram();
    folder = await tempFolder();
    const policyFile = join(folder.path, 'witnesses');
    const logs = join(folder.path, 'data', 'logs.policy');
    witnesses = await Promise.all(
      [1, 2].map((number) => StallingWitness.start(join(folder.path, `witness-${number}`), logs)),
    );
    const lines = witnesses.map(({ key, url }, at) => {
      return `witness w${at} ${formatVerifierKey(verifierKeyOf(key))} ${url}\n`;
    });
    await writeFile(policyFile, `${lines.join('')}group both all w0 w1\nquorum both\n`);
    service = new RunningService(join(folder.path, 'data'), {
      MARKET_CLOCK: 'simulated',
      HTTP_PORT: String(await freePort()),
      MQTT_PORT: String(await freePort()),
      BOOTSTRAP_LOGINS: join(folder.path, 'logins.json'),
      WITNESSES: policyFile,
      WITNESS_TIMEOUT_MILLIS: '30000',
      LOG_LEVEL: 'fatal',
    });
    stream = new Stream();
  }, 120_000);

  afterAll(async () => {
    await stream.close();
    await owner?.end().catch(() => undefined);
    await service.kill();
    for (const witness of witnesses) witness.stop();
    await folder.remove();
  });

  it('loses nothing, doubles nothing, and tells one story', async () => {
    await stream.enrol(await service.start(), service.env['BOOTSTRAP_LOGINS']!);
    owner = await connected(service.dataDir);
    let starting: Promise<unknown> = Promise.resolve();
    let armed = await arm(FAULTS[0]!, 0);
    const playing = stream.play(day);
    playing.catch(() => undefined);
    for (const [index, { step }] of FAULTS.entries()) {
      process.stderr.write(`killed while ${step}\n`);
      await armed.stands();
      await service.kill();
      const next = FAULTS[index + 1];
      // The one that stands goes on, and may still commit what it was asked to: not into the next trap,
      // where it would wait for us while we wait for it.
      await armed.disarm();
      armed = next ? await arm(next, index + 1) : armed;
      await starting;
      starting = service.start().catch(() => undefined);
    }
    await starting;
    await playing;
    await until('all that is signed is published', async () => {
      const [{ signed, published }] = await figures();
      return signed > 0 && signed === published;
    });

    const [{ head, signed }] = await figures();
    expect(signed).toBe(head);
    const policy = parsePolicy(await served('policy'));
    const verdict = openByPolicy(await served('checkpoint'), policy);
    expect(verdict).toMatchObject({ outcome: 'verified', checkpoint: { size: head } });
    expect(policy.witnesses).toHaveLength(2);
    for (const witness of witnesses) {
      const origin = policy.logs[0]!.key.name;
      expect(witness.store.latest(origin)).toMatchObject(
        parseCheckpoint(parseNote(await served('checkpoint')).text),
      );
      // Nothing that it was ever shown contradicted what it knew.
      expect(witness.refusals).toEqual([]);
    }
    const verified = await runCommand(['verify', '--json'], { DATA_DIR: service.dataDir });
    expect(JSON.parse(verified.stdout)).toMatchObject({
      ok: true,
      microgrids: [{ records: head, signed: head, slots: STEPS / 3 }],
    });
    expect(await journalOfACalmDay()).toBe((await stream.summary()).ledger.journalSha256);
  }, 400_000);

  /** The same readings without witnesses and without trouble. */
  async function journalOfACalmDay(): Promise<string> {
    const calm = new RunningService(join(folder.path, 'calm'), {
      MARKET_CLOCK: 'simulated',
      HTTP_PORT: String(await freePort()),
      MQTT_PORT: String(await freePort()),
      BOOTSTRAP_LOGINS: join(folder.path, 'calm-logins.json'),
      LOG_LEVEL: 'fatal',
    });
    const again = new Stream();
    try {
      await again.enrol(await calm.start(), calm.env['BOOTSTRAP_LOGINS']!);
      await again.play(day);
      return (await again.summary()).ledger.journalSha256;
    } finally {
      await again.close();
      await calm.stop();
    }
  }

  async function figures() {
    const { rows } = await owner.query<{ head: number; signed: number; published: number }>(`
      SELECT (SELECT sequence FROM journal_head)::int AS head,
        coalesce((SELECT max(size) FROM checkpoint), 0)::int AS signed,
        coalesce((SELECT max(size) FROM publication), 0)::int AS published`);
    return rows as [(typeof rows)[number]];
  }

  async function served(file: string): Promise<string> {
    const response = await fetch(
      `http://127.0.0.1:${service.env['HTTP_PORT']}/log/${MICROGRID}/${file}`,
    );
    return response.text();
  }

  async function arm({ at }: Fault, number: number) {
    if (at === 'asked' || at === 'answering') {
      const [witness] = witnesses as [StallingWitness];
      return { stands: witness.stall(at), disarm: async () => undefined };
    }
    const key = 4_700 + number;
    const name = `stand_still_${number}`;
    const isCommit = at.when === 'COMMIT';
    await owner.query(`SELECT pg_advisory_lock(${key})`);
    await owner.query(`
      CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(${key}); RETURN NULL; END $$;
      GRANT EXECUTE ON FUNCTION ${name}() TO PUBLIC;
      ${
        isCommit
          ? `CREATE CONSTRAINT TRIGGER ${name} AFTER INSERT ON ${at.table}
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ${name}()`
          : `CREATE TRIGGER ${name} ${at.when} ON ${at.table}
               FOR EACH STATEMENT EXECUTE FUNCTION ${name}()`
      }`);
    return {
      stands: () =>
        until(
          `a statement stands still at ${at.when} of ${at.table}`,
          async () => {
            const { rowCount } = await owner.query(
              `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = ${key} AND NOT granted`,
            );
            return rowCount! > 0;
          },
          60_000,
        ),
      disarm: async () => {
        await owner.query(`SELECT pg_advisory_unlock(${key})`);
        // Waits for whoever still writes there.
        await owner.query(`DROP TRIGGER ${name} ON ${at.table}; DROP FUNCTION ${name}()`);
      },
    };
  }
});

/** A real witness that can be told not to answer: before it looks at a request, or after it kept it. */
class StallingWitness {
  readonly refusals: string[] = [];
  private stalling: { at: 'asked' | 'answering'; stands: () => void } | null = null;

  private constructor(
    readonly store: WitnessStore,
    readonly key: SignerKey,
    readonly url: string,
    private readonly server: Server,
  ) {}

  static async start(folder: string, logsFile: string): Promise<StallingWitness> {
    const store = WitnessStore.open(folder);
    const key = store.readOrMakeKey(join(folder, 'witness.key'), `wit.example/${folder.at(-1)}`);
    let logs: ReturnType<typeof parsePolicy>['logs'] = [];
    const inner = witnessServer({
      store,
      key,
      keysOf: (origin) => logs.map((log) => log.key).filter(({ name }) => name === origin),
    });
    let witness: StallingWitness | undefined;
    const server = createServer((request, response) => {
      const { stalling } = witness!;
      if (request.method === 'POST' && stalling?.at === 'asked') return witness!.stand();
      response.on('finish', () => {
        if (response.statusCode === 422) witness!.refusals.push(request.url!);
      });
      if (request.method === 'POST' && stalling?.at === 'answering') {
        response.end = () => {
          witness!.stand();
          return response;
        };
      }
      void readFile(logsFile)
        .then((text) => (logs = parsePolicy(text).logs))
        .catch(() => undefined)
        .then(() => inner.emit('request', request, response));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    witness = new StallingWitness(store, key, `http://127.0.0.1:${port}`, server);
    return witness;
  }

  /** @returns what resolves when a request stands still */
  stall(at: 'asked' | 'answering'): () => Promise<void> {
    const standing = new Promise<void>((stands) => (this.stalling = { at, stands }));
    return () => standing;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
    this.store.close();
  }

  /** Whoever asked is killed: the connection ends with it. */
  private stand(): void {
    this.stalling?.stands();
    this.stalling = null;
  }
}

async function connected(dataDir: string): Promise<pg.Client> {
  const access = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8')) as {
    user: string;
    password: string;
    port: number;
  };
  const client = new pg.Client({ host: '127.0.0.1', database: 'neighborwatt', ...access });
  await client.connect();
  return client;
}
