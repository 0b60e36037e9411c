import { createHash } from 'node:crypto';
import { cosigner } from '../../src/transparency/cosignature.js';
import {
  ALGORITHM,
  addSignatures,
  parseNote,
  verifierKeyOf,
  type SignerKey,
} from '../../src/transparency/signed-note.js';
import { formatPolicy } from '../../src/transparency/tlog-policy.js';
import type { Rooms } from './rooms.js';

const WITNESSES = ['one', 'two', 'three'].map((name): SignerKey => {
  const seed = createHash('sha256').update(name).digest();
  return { name: `witness.example/${name}`, algorithm: ALGORITHM.cosignature, seed };
});

/** Publishes the latest checkpoint as cosigned by two of three witnesses, under a policy of two. */
export async function publishLatest({ database, log }: Rooms, microgrid: string): Promise<void> {
  const { size, note } = (await log.latestCheckpoint(database, microgrid))!;
  const names = ['a', 'b', 'c'];
  const policy = formatPolicy({
    logs: log.policy(microgrid).logs,
    witnesses: WITNESSES.map((key, at) => ({ name: names[at]!, key: verifierKeyOf(key) })),
    groups: [{ name: 'most', threshold: 2, members: names }],
    quorum: 'most',
  });
  const hash = createHash('sha256').update(policy).digest();
  const cosigned = addSignatures(
    parseNote(note),
    WITNESSES.slice(0, 2).map((key) => cosigner(key, 1_780_000_000)),
  );
  await database.query(
    `INSERT INTO log_policy (microgrid_id, policy_hash, policy) VALUES ($1, $2, $3)`,
    [microgrid, hash, Buffer.from(policy)],
  );
  await database.query(
    `INSERT INTO publication (microgrid_id, size, note, policy_hash) VALUES ($1, $2, $3, $4)`,
    [microgrid, size, cosigned, hash],
  );
}
