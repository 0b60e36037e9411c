import { createHash } from 'node:crypto';
import { z } from 'zod';
import { MalformedError } from '../transparency/bytes.js';

/**
 * What a bundle is: a folder of plain files about one microgrid, made for one receiver, with a
 * `manifest.json` that names every other file and its SHA-256. `docs/bundle.md` tells it in full.
 */

export const BUNDLE_FORMAT = 'neighborwatt-bundle@v1';
export const MANIFEST = 'manifest.json';

/** For whom: what may be in it follows from this, and docs/decisions/021 says why. */
export const RECEIVERS = ['regulator', 'auditor', 'operator'] as const;
export type Receiver = (typeof RECEIVERS)[number];

export interface BundleFile {
  /** Below the bundle's folder, with `/` between names. */
  path: string;
  bytes: number;
  /** Hex. */
  sha256: string;
}

export interface BundleManifest {
  format: typeof BUNDLE_FORMAT;
  for: Receiver;
  microgrid: string;
  /** The log's name. */
  origin: string;
  /** Entries that the checkpoint covers. */
  size: number;
  /** Records of the journal; those past `size` are not signed yet, and only the operator gets them. */
  records: number;
  /** Migrations that made the tables. */
  schema: number;
  /** All but the manifest, by path. */
  files: BundleFile[];
}

/** A backup: operator's bundles of one moment, and what belongs to no microgrid. */
export const BACKUP_FORMAT = 'neighborwatt-backup@v1';

export interface BackupManifest {
  format: typeof BACKUP_FORMAT;
  schema: number;
  /** Their bundles lie in `microgrids/ID`. */
  microgrids: string[];
  /** All files but those that the manifests of the bundles name. */
  files: BundleFile[];
}

const COUNT = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const IDENT = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);

/** Paths that cannot leave the folder, whatever system they are used on. */
const PATH = z
  .string()
  .regex(/^(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,9}$/);

const FILES = z.array(
  z.strictObject({ path: PATH, bytes: COUNT, sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
);

/** In the order in which the members are spelled. */
const BUNDLE = z.strictObject({
  format: z.literal(BUNDLE_FORMAT),
  for: z.enum(RECEIVERS),
  microgrid: IDENT,
  origin: z.string().min(1).max(300),
  size: COUNT,
  records: COUNT,
  schema: COUNT,
  files: FILES,
});

const BACKUP = z.strictObject({
  format: z.literal(BACKUP_FORMAT),
  schema: COUNT,
  microgrids: z.array(IDENT),
  files: FILES,
});

type Manifest = BundleManifest | BackupManifest;

/** The manifest as its file spells it, closed by a hash over all that stands before. */
export function formatManifest(manifest: Manifest): string {
  const shape = manifest.format === BUNDLE_FORMAT ? BUNDLE : BACKUP;
  // Parsing puts the members in the order of the shape.
  const text = JSON.stringify(shape.parse(manifest), null, 1);
  return `${text.slice(0, -2)},\n "sha256": "${hashOf(text)}"\n}\n`;
}

/** @throws MalformedError on anything that `formatManifest` does not write for a bundle */
export function parseManifest(text: string): BundleManifest {
  return parsedAs(BUNDLE, text);
}

/** @throws MalformedError on anything that `formatManifest` does not write for a backup */
export function parseBackupManifest(text: string): BackupManifest {
  return parsedAs(BACKUP, text);
}

/** Which of the two a manifest says it is. */
export function isBackup(text: string): boolean {
  return (jsonOf(text) as { format?: unknown } | null)?.format === BACKUP_FORMAT;
}

/** Where a table of the operator's bundle lies. */
export function tableFile(table: string): string {
  return `tables/${table}.csv`;
}

function parsedAs<Found extends Manifest>(shape: z.ZodType<Found>, text: string): Found {
  const { sha256, ...rest } = (jsonOf(text) ?? {}) as Record<string, unknown>;
  const parsed = shape.safeParse(rest);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new MalformedError(`${path.join('.') || 'the document'}: ${message}`);
  }
  const manifest = parsed.data;
  const spelled = formatManifest(manifest);
  if (!spelled.endsWith(` "sha256": ${JSON.stringify(sha256)}\n}\n`)) {
    throw new MalformedError('it is not what its own sha256 says');
  }
  if (spelled !== text) throw new MalformedError('it is not spelled as it should be');
  const paths = manifest.files.map(({ path }) => path);
  if (paths.some((path, at) => at > 0 && path <= paths[at - 1]!)) {
    throw new MalformedError('its files are not in the order of their paths');
  }
  return manifest;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new MalformedError('it is not JSON');
  }
}
