import { readFileSync } from 'node:fs';
import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS, type Settings } from '../config.js';
import type { Sql } from '../database/database.service.js';
import { MalformedError } from '../transparency/bytes.js';
import { signCheckpoint } from '../transparency/checkpoint.js';
import {
  consistencyProof,
  inclusionProof,
  inclusionProofs,
  verifyConsistency,
  type HashReader,
} from '../transparency/merkle-proof.js';
import { CompactRange } from '../transparency/merkle-tree.js';
import { formatVerifierKey, keyIdOf, parseNote } from '../transparency/signed-note.js';
import {
  encodeEntryBundle,
  TILE_WIDTH,
  tileHashReader,
  type TilePath,
} from '../transparency/tile.js';
import {
  meetsQuorum,
  parsePolicy,
  type Policy,
  type PolicyWitness,
} from '../transparency/tlog-policy.js';
import * as store from './ledger.store.js';
import { LogKeyring } from './log-keyring.service.js';

export interface SignedCheckpoint {
  size: number;
  root: Uint8Array;
  note: string;
}

/**
 * Signs what the journal has committed and serves the log's public files. Keys are derived from one
 * seed outside the database: whoever copies the database cannot sign for its logs.
 */
@Injectable()
export class LogService {
  /** Of all logs of the deployment. */
  readonly keyring: LogKeyring;
  private readonly witnessPolicy: Policy;
  private readonly heard = new Set<string>();

  constructor(@Inject(SETTINGS) private readonly settings: Settings) {
    this.keyring = new LogKeyring(settings.dataDir, settings.logOrigin);
    this.witnessPolicy = readWitnesses(settings.witnesses);
  }

  /** As it will be with the next start, after keys or names were changed. */
  withKeysOnDisk(): LogService {
    return new LogService(this.settings);
  }

  /** The name of a microgrid's log, and of its key. */
  origin(microgridId: string): string {
    return this.keyring.origin(microgridId);
  }

  /** The log's verifier key in C2SP form; the new one while keys are changed. */
  verifierKey(microgridId: string): string {
    return formatVerifierKey(this.keyring.signers(microgridId).at(-1)!.key);
  }

  /** Every verifier key by which a checkpoint of the microgrid is or was good. */
  verifierKeys(microgridId: string): string[] {
    return this.keyring.verifierKeys(microgridId).map(formatVerifierKey);
  }

  /** The C2SP tlog-policy by which the log's published checkpoints are good. */
  policy(microgridId: string): Policy {
    const logs = this.keyring.signers(microgridId).map(({ key }) => ({ key }));
    return { ...this.witnessPolicy, logs };
  }

  /** Those who are asked to cosign. */
  get witnesses(): readonly PolicyWitness[] {
    return this.witnessPolicy.witnesses;
  }

  /** Signs nothing more for this microgrid until `release`, as it is from the start with witnesses. */
  hold(microgridId: string): void {
    this.heard.delete(microgridId);
  }

  /** The witnesses know of no other history. */
  release(microgridId: string): void {
    this.heard.add(microgridId);
  }

  isHeld(microgridId: string): boolean {
    return this.witnessPolicy.quorum !== 'none' && !this.heard.has(microgridId);
  }

  /**
   * Signs the committed head unless it is signed already, or the log is held. Call it after the
   * commit, outside of any transaction.
   * @throws Error when the tree does not extend what was signed before; nothing is signed then
   */
  async sign(sql: Sql, microgridId: string): Promise<SignedCheckpoint | null> {
    const range = await this.committed(sql, microgridId);
    if (!range) return null;
    const latest = await this.latestCheckpoint(sql, microgridId);
    if (latest) this.assertOwn(microgridId, latest);
    if (latest?.size === range.size || this.isHeld(microgridId)) return latest;
    if (latest) await this.assertExtends(sql, microgridId, latest, range);
    const root = range.root();
    const note = signCheckpoint(
      { origin: this.origin(microgridId), size: range.size, root, extensions: [] },
      this.keyring.signers(microgridId).map(({ noteSigner }) => noteSigner),
    );
    await sql.query(store.INSERT_CHECKPOINT, [microgridId, range.size, Buffer.from(root), note]);
    return { size: range.size, root, note };
  }

  /** The tree over everything that is committed; null where there is nothing. */
  async committed(sql: Sql, microgridId: string): Promise<CompactRange | null> {
    const [head] = await sql.query<{ sequence: number; logEdge: Uint8Array }>(
      store.HEAD_FOR_CHECKPOINT,
      [microgridId],
    );
    if (!head || head.sequence === 0) return null;
    return CompactRange.fromBytes(head.sequence, head.logEdge);
  }

  async latestCheckpoint(sql: Sql, microgridId: string): Promise<SignedCheckpoint | null> {
    const [row] = await sql.query<SignedCheckpoint>(store.LATEST_CHECKPOINT, [microgridId]);
    return row ?? null;
  }

  /** The latest checkpoint that its witnesses cosigned; where none are asked for, the latest signed. */
  async latestPublished(sql: Sql, microgridId: string): Promise<SignedCheckpoint | null> {
    if (this.witnessPolicy.quorum === 'none') return this.latestCheckpoint(sql, microgridId);
    const [row] = await sql.query<SignedCheckpoint>(store.LATEST_PUBLISHED, [microgridId]);
    return row ?? null;
  }

  /** The first published checkpoint that covers a record: always the same, once there is one. */
  async publishedCovering(
    sql: Sql,
    microgridId: string,
    sequence: number,
  ): Promise<SignedCheckpoint | null> {
    const isSigned = this.witnessPolicy.quorum === 'none';
    const [row] = await sql.query<SignedCheckpoint>(
      isSigned ? store.CHECKPOINT_COVERING : store.PUBLISHED_COVERING,
      [microgridId, sequence],
    );
    return row ?? null;
  }

  /** The hashes from a record's entry up to the root of the tree of `size`. */
  async proveInclusion(
    sql: Sql,
    microgridId: string,
    sequence: number,
    size: number,
  ): Promise<readonly Uint8Array[]> {
    return inclusionProof(sequence - 1, size, this.hashReader(sql, microgridId, size));
  }

  /** The same for several records, read at once. */
  async proveInclusions(
    sql: Sql,
    microgridId: string,
    sequences: readonly number[],
    size: number,
  ): Promise<readonly (readonly Uint8Array[])[]> {
    const indices = sequences.map((sequence) => sequence - 1);
    return inclusionProofs(indices, size, this.hashReader(sql, microgridId, size));
  }

  /** The bytes of an entry. @throws Error when there is none at this index */
  async entry(sql: Sql, microgridId: string, index: number): Promise<Uint8Array> {
    const [row] = await sql.query<{ entry: Uint8Array }>(store.READ_ENTRIES, [
      microgridId,
      index,
      index + 1,
    ]);
    if (!row) throw new Error(`the log of ${microgridId} has no entry ${index}`);
    return row.entry;
  }

  /** The bytes of a tile or entry bundle, or null where the log is not that large. */
  async readTile(sql: Sql, microgridId: string, path: TilePath): Promise<Uint8Array | null> {
    if (path.level === 'entries') {
      const first = path.tile * TILE_WIDTH;
      const rows = await sql.query<{ entry: Uint8Array }>(store.READ_ENTRIES, [
        microgridId,
        first,
        first + path.width,
      ]);
      return rows.length === path.width ? encodeEntryBundle(rows.map((row) => row.entry)) : null;
    }
    const rows = await sql.query<{ hashes: Uint8Array }>(store.READ_TILES, [
      microgridId,
      [path.level],
      [path.tile],
    ]);
    const hashes = rows[0]?.hashes.subarray(0, 32 * path.width);
    return hashes?.length === 32 * path.width ? hashes : null;
  }

  /** Another instance of the same database must sign with the same key. @throws Error otherwise */
  private assertOwn(microgridId: string, { note }: SignedCheckpoint): void {
    const own = this.keyring.verifierKeys(microgridId).map((key) => ({ ...key, id: keyIdOf(key) }));
    const isOwn = parseNote(note).signatures.some((signature) =>
      own.some(({ name, id }) => name === signature.name && id === signature.keyId),
    );
    if (isOwn) return;
    throw new Error(
      `the log of ${microgridId} was signed with another key: LOG_ORIGIN and DATA_DIR/keys/log.seed must be those of the instance that began it`,
    );
  }

  private async assertExtends(
    sql: Sql,
    microgridId: string,
    signed: SignedCheckpoint,
    range: CompactRange,
  ): Promise<void> {
    const read = this.hashReader(sql, microgridId, range.size);
    // The proof comes from the tiles and the new root from the head: both must fit what was signed.
    const extended =
      signed.size <= range.size &&
      verifyConsistency({
        oldSize: signed.size,
        newSize: range.size,
        oldRoot: signed.root,
        newRoot: range.root(),
        proof: await consistencyProof(signed.size, range.size, read),
      });
    if (!extended) {
      throw new Error(
        `the log of ${microgridId} does not extend its checkpoint of size ${signed.size}`,
      );
    }
  }

  /** Reads the hashes of the tree of `size` from its tiles. */
  hashReader(sql: Sql, microgridId: string, size: number): HashReader {
    return tileHashReader(size, async (tiles) => {
      const rows = await sql.query<{ level: number; tile: number; hashes: Uint8Array }>(
        store.READ_TILES,
        [microgridId, tiles.map(({ level }) => level), tiles.map(({ tile }) => tile)],
      );
      const found = new Map(rows.map((row) => [`${row.level}/${row.tile}`, row.hashes]));
      return tiles.map(({ level, tile }) => found.get(`${level}/${tile}`) ?? new Uint8Array());
    });
  }
}

/** The witnesses of all logs and their quorum; none without a file. */
function readWitnesses(file: string | undefined): Policy {
  if (file === undefined) return { logs: [], witnesses: [], groups: [], quorum: 'none' };
  try {
    const policy = parsePolicy(readFileSync(file));
    if (policy.logs.length > 0) throw new MalformedError('it names logs, which the service does');
    const asked = policy.witnesses.filter(({ url }) => url !== undefined);
    for (const { url } of asked) {
      if (!/^https?:$/.test(URL.canParse(url!) ? new URL(url!).protocol : '')) {
        throw new MalformedError('an address of a witness that is not http or https');
      }
    }
    if (
      !meetsQuorum(
        policy,
        asked.map(({ name }) => name),
      )
    ) {
      throw new MalformedError('its quorum needs witnesses whose address is not given');
    }
    return policy;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`WITNESSES: ${file} cannot be used: ${reason}.`);
  }
}
