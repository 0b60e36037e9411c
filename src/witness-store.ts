import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { parseCheckpoint, type Checkpoint } from './transparency/checkpoint.js';
import {
  ALGORITHM,
  formatSignerKey,
  parseNote,
  parseSignerKey,
  type SignerKey,
} from './transparency/signed-note.js';

/** A checkpoint that the witness cosigned, with the note that says so. */
export interface Cosigned extends Checkpoint {
  readonly note: string;
}

/**
 * What a witness must never forget: for every log the checkpoint it cosigned last. A file
 * `from-<old size>` in the log's folder holds the one checkpoint that ever followed that size. It is
 * complete and on the disk before it is linked under this name, and a name is linked but once: of two
 * successors of a size only one can be, whatever processes run and whenever they are killed.
 */
export class WitnessStore {
  private constructor(private readonly folder: string) {}

  /** @throws Error when another process has it open, or a file in it is not what it was written as */
  static open(path: string): WitnessStore {
    const folder = resolve(path);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    lock(folder);
    const store = new WitnessStore(folder);
    for (const name of readdirSync(folder)) {
      // What a process that was killed had begun to write, and had told nobody of.
      if (name.startsWith(UNFINISHED)) rmSync(join(folder, name));
      if (LOG_FOLDER.test(name)) store.read(name);
    }
    return store;
  }

  close(): void {
    rmSync(join(this.folder, LOCK), { force: true });
  }

  latest(origin: string): Cosigned | null {
    return this.read(folderOf(origin));
  }

  /** By the SHA-256 of its origin in hex, as the address of a log at a witness has it. */
  latestByHash(hash: string): Cosigned | null {
    return LOG_FOLDER.test(hash) ? this.read(hash) : null;
  }

  /**
   * Keeps a cosigned checkpoint as the successor of `oldSize`, on the disk when this returns.
   * @returns false when that size has had a successor, and nothing was changed
   */
  advance(origin: string, oldSize: number, note: string): boolean {
    const folder = join(this.folder, folderOf(origin));
    if (!existsSync(folder)) {
      mkdirSync(folder, { mode: 0o700 });
      syncFolder(this.folder);
    }
    const name = FROM + String(oldSize).padStart(DIGITS, '0');
    if (!this.linkOnce(note, join(folder, name))) return false;
    syncFolder(folder);
    const names = successorsIn(folder);
    // A process that slept since it looked: others went on from here, and tidied up behind them.
    if (names.at(-1) !== name) return false;
    for (const old of names.slice(0, -2)) rmSync(join(folder, old), { force: true });
    return true;
  }

  /** The key in `file`, or a new one of this name, made on the first run and kept for its owner only. */
  readOrMakeKey(file: string, name: string): SignerKey {
    if (!existsSync(file)) {
      const made = { name, algorithm: ALGORITHM.cosignature, seed: randomBytes(32) };
      this.linkOnce(`${formatSignerKey(made)}\n`, file);
    }
    const key = parseSignerKey(readFileSync(file, 'utf8').trim());
    if (key.algorithm !== ALGORITHM.cosignature) throw new Error(`${file} is no key of a cosigner`);
    return key;
  }

  private read(name: string): Cosigned | null {
    const folder = join(this.folder, name);
    const last = existsSync(folder) ? successorsIn(folder).at(-1) : undefined;
    if (last === undefined) return null;
    const note = readFileSync(join(folder, last), 'utf8');
    return { ...parseCheckpoint(parseNote(note).text), note };
  }

  /** @returns false when there is such a file; it is whole and on the disk otherwise */
  private linkOnce(text: string, file: string): boolean {
    const unfinished = join(this.folder, `${UNFINISHED}${randomBytes(8).toString('hex')}`);
    writeSynced(unfinished, text);
    try {
      linkSync(unfinished, file);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    } finally {
      rmSync(unfinished, { force: true });
    }
  }
}

const LOCK = 'lock';
const UNFINISHED = 'unfinished-';
const FROM = 'from-';
const DIGITS = 16;
const LOG_FOLDER = /^[0-9a-f]{64}$/;

function folderOf(origin: string): string {
  return createHash('sha256').update(origin).digest('hex');
}

/** In the order of the sizes they follow. */
function successorsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(FROM))
    .sort();
}

/**
 * One process at a time, for the sake of whoever starts a second by mistake; that no two can cosign
 * apart rests on the names of the files. A process id may be taken again, in a container at every
 * start: where the system tells it, the lock also holds when the process began.
 */
function lock(folder: string): void {
  const file = join(folder, LOCK);
  const own = join(folder, `${UNFINISHED}lock-${randomBytes(8).toString('hex')}`);
  writeSynced(own, `${process.pid} ${beginOf(process.pid)}\n`);
  try {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      try {
        linkSync(own, file);
        return;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
      const [pid, began] = readIfThere(file).trim().split(' ');
      if (isRunning(Number(pid), began ?? '')) {
        throw new Error(`${folder} is in use by process ${pid}: stop it first`);
      }
      setAside(file, `${own}-stale`);
    }
    throw new Error(`${folder} cannot be locked: others keep starting on it`);
  } finally {
    rmSync(own, { force: true });
  }
}

function setAside(file: string, stale: string): void {
  try {
    renameSync(file, stale);
    rmSync(stale, { force: true });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function isRunning(pid: number, began: string): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false;
  }
  return beginOf(pid) === began;
}

/** Field 22 of proc(5) stat, behind the name in parentheses; empty where there is no such file. */
function beginOf(pid: number): string {
  const stat = readIfThere(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function writeSynced(file: string, text: string): void {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
