import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  ALGORITHM,
  ed25519Signer,
  verifierKeyOf,
  type NoteSigner,
  type SignerKey,
  type VerifierKey,
} from '../transparency/signed-note.js';
import { formatPolicy, parsePolicy } from '../transparency/tlog-policy.js';

/** A log's key, and what signs with it. */
export interface LogSigner {
  readonly key: VerifierKey;
  readonly noteSigner: NoteSigner;
}

/**
 * The keys of a deployment's logs, in `DATA_DIR/keys`, outside the database: whoever copies the
 * database cannot sign for its logs. Every log's key is derived from one seed and the log's name.
 * While keys are changed there are two seeds, and every checkpoint is signed with both.
 */
export class LogKeyring {
  private readonly folder: string;
  /** The one in use for longer stands first. */
  private readonly seeds: readonly Uint8Array[];
  private readonly retired: readonly VerifierKey[];
  private readonly generations: Readonly<Record<string, number>>;
  private readonly signersOf = new Map<string, readonly LogSigner[]>();

  constructor(
    dataDir: string,
    private readonly logOrigin: string,
  ) {
    this.folder = join(dataDir, 'keys');
    this.seeds = readOrMakeSeeds(this.folder);
    this.retired = readRetired(this.folder);
    this.generations = readGenerations(this.folder);
  }

  /** The name of a microgrid's log, and of its keys. */
  origin(microgridId: string): string {
    return this.originOf(microgridId, this.generation(microgridId));
  }

  /** What signs the microgrid's next checkpoint: one key, or two while keys are changed. */
  signers(microgridId: string): readonly LogSigner[] {
    return this.signersFor(this.origin(microgridId));
  }

  /** Every key that signed a checkpoint of this microgrid rightly: under earlier names, and retired ones. */
  verifierKeys(microgridId: string): VerifierKey[] {
    const origins = Array.from({ length: this.generation(microgridId) }, (_, before) =>
      this.originOf(microgridId, before + 1),
    );
    const own = origins.flatMap((origin) => this.signersFor(origin).map(({ key }) => key));
    const retired = this.retired.filter(({ name }) => origins.includes(name));
    return [...retired, ...own];
  }

  get isChanging(): boolean {
    return this.seeds.length > 1;
  }

  /** Adds a second seed. A running service takes it up when it starts again. @throws Error while there are two */
  beginChange(): void {
    if (this.isChanging) throw new Error('the keys are being changed already: finish that first');
    writeSeeds(this.folder, [...this.seeds, randomBytes(32)]);
  }

  /**
   * Forgets the older seed, and keeps its public keys, so that what they signed can still be checked.
   * @param microgrids all that have a log
   * @throws Error unless there are two
   */
  finishChange(microgrids: readonly string[]): void {
    if (!this.isChanging) throw new Error('no change of keys has begun');
    const ending = microgrids.flatMap((microgrid) =>
      Array.from(
        { length: this.generation(microgrid) },
        (_, before) => this.signersFor(this.originOf(microgrid, before + 1))[0]!.key,
      ),
    );
    const logs = [...this.retired, ...ending].map((key) => ({ key }));
    const policy = formatPolicy({ logs, witnesses: [], groups: [], quorum: 'none' });
    writeWhole(join(this.folder, RETIRED), policy);
    writeSeeds(this.folder, this.seeds.slice(1));
  }

  /** The name that `beginOrigin` would give. */
  nextOrigin(microgridId: string): string {
    return this.originOf(microgridId, this.generation(microgridId) + 1);
  }

  /** Gives the microgrid's log a new name, from the next start on. */
  beginOrigin(microgridId: string): void {
    const generation = this.generation(microgridId) + 1;
    const generations = { ...this.generations, [microgridId]: generation };
    writeWhole(join(this.folder, GENERATIONS), utf8ToBytes(`${JSON.stringify(generations)}\n`));
  }

  private generation(microgridId: string): number {
    return Object.hasOwn(this.generations, microgridId) ? this.generations[microgridId]! : 1;
  }

  /** @example 'grid.example/street', and 'grid.example/r2/street' after it was begun anew once */
  private originOf(microgridId: string, generation: number): string {
    const renewed = generation === 1 ? '' : `/r${generation}`;
    return `${this.logOrigin}${renewed}/${microgridId}`;
  }

  private signersFor(origin: string): readonly LogSigner[] {
    let signers = this.signersOf.get(origin);
    if (!signers) {
      signers = this.seeds.map((seed) => signerOf(seed, origin));
      this.signersOf.set(origin, signers);
    }
    return signers;
  }
}

const SEEDS = 'log.seed';
const RETIRED = 'retired.policy';
const GENERATIONS = 'origins.json';
const GENERATIONS_FILE = z.record(z.string(), z.int().min(2));

function signerOf(deploymentSeed: Uint8Array, origin: string): LogSigner {
  const info = utf8ToBytes(`neighborwatt/log/v1\n${origin}`);
  const seed = hkdf(sha256, deploymentSeed, undefined, info, 32);
  const key: SignerKey = { name: origin, algorithm: ALGORITHM.ed25519, seed };
  return { key: verifierKeyOf(key), noteSigner: ed25519Signer(key) };
}

/** 32 random bytes a line in hex, in `log.seed`, readable by the owner alone. */
function readOrMakeSeeds(folder: string): Uint8Array[] {
  const file = join(folder, SEEDS);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, `${randomBytes(32).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  if (lines.length > 2 || !lines.every((line) => /^[0-9a-f]{64}$/.test(line))) {
    throw new Error(`${file} is damaged: restore it from a backup; without it logs cannot go on.`);
  }
  return lines.map((line) => Buffer.from(line, 'hex'));
}

function writeSeeds(folder: string, seeds: readonly Uint8Array[]): void {
  const text = seeds.map((seed) => `${Buffer.from(seed).toString('hex')}\n`).join('');
  writeWhole(join(folder, SEEDS), utf8ToBytes(text));
}

function readRetired(folder: string): VerifierKey[] {
  const file = join(folder, RETIRED);
  return existsSync(file) ? parsePolicy(readFileSync(file)).logs.map(({ key }) => key) : [];
}

function readGenerations(folder: string): Record<string, number> {
  const file = join(folder, GENERATIONS);
  if (!existsSync(file)) return {};
  const parsed = GENERATIONS_FILE.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file} is damaged: restore it from a backup.`);
  return parsed.data;
}

/** The old content or the new one, whatever happens in between. */
export function writeWhole(file: string, bytes: Uint8Array): void {
  const next = `${file}.new`;
  const descriptor = openSync(next, 'w', 0o600);
  try {
    writeFileSync(descriptor, bytes);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(next, file);
}
