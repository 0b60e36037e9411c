import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { MalformedError } from '../transparency/bytes.js';
import {
  decodeEntryBundle,
  entryBundlePath,
  formatTilePath,
  TILE_WIDTH,
} from '../transparency/tile.js';
import {
  formatManifest,
  MANIFEST,
  parseManifest,
  type BackupManifest,
  type BundleFile,
  type BundleManifest,
} from './bundle.js';
import type { Findings } from './finding.js';
import { MOST_BUNDLE_BYTES, Unreadable, type LogSource } from './public-log.js';

const MOST_MANIFEST_BYTES = 256 * 1_048_576;

/** Files in a folder, and what their manifest says of them. */
export class Folder<Facts extends { files: BundleFile[] } = { files: BundleFile[] }> {
  private readonly byPath: ReadonlyMap<string, BundleFile>;

  constructor(
    readonly path: string,
    readonly manifest: Facts,
  ) {
    this.byPath = new Map(manifest.files.map((file) => [file.path, file]));
  }

  has(path: string): boolean {
    return this.byPath.has(path);
  }

  async read(path: string, mostBytes: number): Promise<Buffer | null> {
    return readWhole(join(this.path, path), mostBytes);
  }

  stream(path: string): Readable {
    return createReadStream(join(this.path, path), { highWaterMark: 1 << 20 });
  }

  /** Every file is there and is what the manifest says, and of those that are there none is more. */
  async checkFiles(there: readonly string[], findings: Findings): Promise<void> {
    for (const path of there) {
      if (path !== MANIFEST && !this.byPath.has(path)) {
        findings.add(path, 'file', 'name', 'no such file', 'a file that no manifest names');
      }
    }
    for (const { path, bytes, sha256 } of this.manifest.files) {
      if (findings.full) return;
      const hash = createHash('sha256');
      let length = 0;
      try {
        for await (const chunk of this.stream(path) as AsyncIterable<Buffer>) {
          hash.update(chunk);
          length += chunk.length;
        }
      } catch (error) {
        findings.add(path, 'file', 'bytes', 'a file that can be read', messageOf(error));
        continue;
      }
      // A file of another length has another hash too; the length says more.
      if (findings.same(path, 'file', 'bytes', bytes, length)) {
        findings.same(path, 'file', 'sha256', sha256, hash.digest('hex'));
      }
    }
  }
}

/** A bundle that lies in a folder. */
export class BundleFolder extends Folder<BundleManifest> implements LogSource {
  /** @returns the bundle, or null where its manifest is none, which is a finding then */
  static async open(path: string, findings: Findings): Promise<BundleFolder | null> {
    try {
      const bytes = await readWhole(join(path, MANIFEST), MOST_MANIFEST_BYTES);
      if (!bytes) throw new Unreadable(`there is no ${MANIFEST} in ${path}`);
      return new BundleFolder(path, parseManifest(bytes.toString('utf8')));
    } catch (error) {
      if (!(error instanceof MalformedError) && !(error instanceof Unreadable)) throw error;
      findings.add(MANIFEST, 'file', 'manifest', 'the manifest of a bundle', error.message);
      return null;
    }
  }

  /** All that lies there is what the manifest says. */
  async check(findings: Findings): Promise<void> {
    await this.checkFiles(await filesOf(this.path), findings);
  }

  /** The entries that the checkpoint covers, bundle by bundle. @throws Unreadable, MalformedError */
  async *entries(): AsyncGenerator<Uint8Array[]> {
    const { size } = this.manifest;
    for (let index = 0; index < size; index += TILE_WIDTH) {
      const path = formatTilePath(entryBundlePath(index, size));
      const bytes = await this.read(path, MOST_BUNDLE_BYTES);
      if (!bytes) throw new Unreadable(`there is no ${path}`);
      yield decodeEntryBundle(bytes);
    }
  }
}

/**
 * A bundle as it is written: under another name beside its place, and only when it is whole it takes
 * the place. Who is interrupted leaves a folder that the next one removes.
 */
export class BundleWriter {
  readonly files: BundleFile[] = [];
  private readonly made = new Set<string>();
  private before: { path: string; hashes: ReadonlyMap<string, string> } | undefined;

  private constructor(
    private readonly place: string,
    private readonly folder: string,
    private readonly isPrivate: boolean,
  ) {}

  /** @param isPrivate where only the owner may read */
  static async begin(place: string, isPrivate: boolean): Promise<BundleWriter> {
    const folder = `${place}.partial`;
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: isPrivate ? 0o700 : 0o755 });
    return new BundleWriter(place, folder, isPrivate);
  }

  /** Files that are the same in this bundle are not written again. */
  reuse({ path, manifest }: BundleFolder): void {
    this.before = { path, hashes: new Map(manifest.files.map((one) => [one.path, one.sha256])) };
  }

  async write(path: string, content: string | Uint8Array): Promise<void> {
    const bytes = Buffer.from(content);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (this.before?.hashes.get(path) !== sha256) return this.stream(path, [bytes]);
    const target = join(this.folder, path);
    await this.makeFolder(dirname(target));
    await link(join(this.before.path, path), target);
    this.files.push({ path, bytes: bytes.length, sha256 });
  }

  async stream(path: string, content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    const target = join(this.folder, path);
    await this.makeFolder(dirname(target));
    const file = await open(target, 'wx', this.isPrivate ? 0o600 : 0o644);
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      for await (const chunk of content) {
        hash.update(chunk);
        bytes += chunk.length;
        await file.writeFile(chunk);
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    this.files.push({ path, bytes, sha256: hash.digest('hex') });
  }

  /** Writes the manifest and puts the folder in its place, where `before` may stand. */
  async finish<Facts extends BundleManifest | BackupManifest>(
    facts: Omit<Facts, 'files'>,
    before: 'nothing' | 'a bundle',
  ): Promise<Facts> {
    const files = this.files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
    const manifest = { ...facts, files } as Facts;
    await this.stream(MANIFEST, [Buffer.from(formatManifest(manifest))]);
    for (const folder of [...this.made, this.folder]) await syncFolder(folder);
    const old = `${this.place}.replaced`;
    if (before === 'a bundle') await rename(this.place, old);
    await rename(this.folder, this.place);
    await syncFolder(dirname(this.place));
    await rm(old, { recursive: true, force: true });
    return manifest;
  }

  /** Where a folder within is to be written by somebody else. */
  async folderFor(path: string): Promise<string> {
    const folder = join(this.folder, path);
    await this.makeFolder(dirname(folder));
    return folder;
  }

  /** Takes up a file that somebody else has written. */
  async adopt(path: string): Promise<void> {
    const bytes = await readFile(join(this.folder, path));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    this.files.push({ path, bytes: bytes.length, sha256 });
  }

  async abandon(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private async makeFolder(folder: string): Promise<void> {
    if (folder === this.folder || this.made.has(folder)) return;
    await mkdir(folder, { recursive: true, mode: this.isPrivate ? 0o700 : 0o755 });
    this.made.add(folder);
  }
}

/** A whole file, or null where there is none. @throws Unreadable beyond `mostBytes` */
async function readWhole(path: string, mostBytes: number): Promise<Buffer | null> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > mostBytes) throw new Unreadable(`it has ${size} bytes, more than ${mostBytes}`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Unreadable(messageOf(error));
  }
}

/** Whether anything lies there. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Every file below a folder, by its path from there. */
export async function filesOf(folder: string, inside = ''): Promise<string[]> {
  const entries = await readdir(join(folder, inside), { withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries) {
    const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await filesOf(folder, path)));
    else found.push(path);
  }
  return found.sort();
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
