import { readFile } from 'node:fs/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { DatabaseService } from './database/database.service.js';
import { LedgerService } from './ledger/ledger.service.js';
import { LogService } from './ledger/log.service.js';
import { PublicationService } from './ledger/publication.service.js';
import type { Command, Given, Outcome } from './operator-command.js';
import { MarketClockService } from './parties/market-clock.service.js';
import { PartiesService } from './parties/parties.service.js';
import { MalformedError, toBase64 } from './transparency/bytes.js';
import type { Checkpoint } from './transparency/checkpoint.js';
import { consistencyProof, verifyConsistency } from './transparency/merkle-proof.js';
import { keyIdOf, parseNote } from './transparency/signed-note.js';
import { openByPolicy } from './transparency/tlog-policy.js';
import { Problem } from './units/problem.js';

/** The commands of `npm run operator` for the keys and names of the logs. */

const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean' } as const;

export const LOG_COMMANDS: Readonly<Record<string, Command>> = {
  'change-log-keys': {
    usage: '--begin | --finish',
    summary: 'new signing keys for all logs, with a time in which both sign',
    help: `  --begin                 makes the new keys; from the next start of the service on, every checkpoint is
                          signed with both. Give everyone who checks the logs the new verifier keys.
  --finish                forgets the old ones, once every log was published with the new key; at the
                          next start the new ones sign alone. Old checkpoints can still be verified.
See docs/operate.md, "Keys of the logs".`,
    options: { begin: FLAG, finish: FLAG },
    required: [],
    run: changeLogKeys,
  },
  'new-origin': {
    usage: '--microgrid M [--checkpoint FILE]',
    summary: "begin a microgrid's log under a new name, where published records are lost for good",
    help: `Only when the service refuses to start because witnesses have seen more of the log than this
database has, and no export, backup or mirror has the missing records. The first record after it commits
to the last cosigned checkpoint, so that everyone can see where the old log ended. Stop the service first.

  --checkpoint FILE       the last cosigned checkpoint, where no witness can be asked for it`,
    options: { microgrid: TEXT, checkpoint: TEXT },
    required: ['microgrid'],
    run: newOrigin,
  },
};

async function changeLogKeys(app: INestApplicationContext, given: Given): Promise<Outcome> {
  if (given.flag('begin') === given.flag('finish')) {
    throw new Problem(400, 'usage', 'Say --begin or --finish.');
  }
  const database = app.get(DatabaseService);
  const microgrids = (await app.get(PartiesService).microgrids(database)).map(
    ({ microgridId }) => microgridId,
  );
  const logs = app.get(LogService);
  if (given.flag('begin')) {
    logs.keyring.beginChange();
    // The keyring of this process is the old one.
    const changed = logs.withKeysOnDisk();
    const keys = microgrids.map((microgrid) => ({
      microgrid,
      old: logs.verifierKey(microgrid),
      new: changed.verifierKey(microgrid),
    }));
    const listed = keys.map((one) => `  ${one.microgrid}: ${one.new}\n`).join('');
    return {
      document: { changing: true, logs: keys },
      text: `New keys are made. Start every instance again; then both keys sign. The new verifier keys are:\n${listed}`,
    };
  }
  for (const microgrid of microgrids) await assertSignedWithBoth(database, logs, microgrid);
  logs.keyring.finishChange(microgrids);
  return {
    document: { changing: false },
    text: 'The old keys are forgotten. Start every instance again; then the new ones sign alone.',
  };
}

/** What was published last has to be good by the new key alone. */
async function assertSignedWithBoth(
  database: DatabaseService,
  logs: LogService,
  microgrid: string,
): Promise<void> {
  const [, next] = logs.keyring.signers(microgrid);
  const latest = await logs.latestPublished(database, microgrid);
  if (!next || !latest) return;
  const { name } = next.key;
  const id = keyIdOf(next.key);
  const { signatures } = parseNote(latest.note);
  if (signatures.some((one) => one.name === name && one.keyId === id)) return;
  throw new Problem(
    409,
    'not_signed_with_both',
    `The last published checkpoint of ${microgrid} is not signed with the new key yet: start the service and wait for its next slot.`,
  );
}

async function newOrigin(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const microgrid = given.text('microgrid');
  const database = app.get(DatabaseService);
  const logs = app.get(LogService);
  if (!(await app.get(PartiesService).microgrid(database, microgrid))) {
    throw new Problem(404, 'no_such_microgrid', `There is no microgrid ${microgrid}.`);
  }
  const file = given.optional('checkpoint');
  const notes =
    file === undefined
      ? await app.get(PublicationService).seenByWitnesses(microgrid)
      : [await readFile(file, 'utf8')];
  const last = latestOf(logs, microgrid, notes);
  if (!last) {
    throw new Problem(
      404,
      'no_checkpoint',
      'No witness shows a checkpoint of this log that its key has signed: give one with --checkpoint.',
    );
  }
  if (await isContained(database, logs, microgrid, last.checkpoint)) {
    throw new Problem(
      409,
      'nothing_is_lost',
      `The log of ${microgrid} contains this checkpoint of ${last.checkpoint.size} records: it can go on as it is.`,
    );
  }
  const { size, root } = last.checkpoint;
  const previousOrigin = logs.origin(microgrid);
  const origin = logs.keyring.nextOrigin(microgrid);
  const at = await app.get(MarketClockService).now();
  const ledger = app.get(LedgerService);
  const [sequence] = await database.transaction(async (sql) => {
    const head = await ledger.lock(sql, microgrid);
    return ledger.append(sql, microgrid, [
      {
        kind: 'operator-action',
        at,
        cause: `log/${origin}/begun/${head + 1}`,
        keyHolder: '',
        households: [],
        facts: {
          action: 'log-begun-anew',
          origin,
          previousOrigin,
          checkpointSize: size,
          checkpointRoot: toBase64(root),
          checkpoint: last.note,
        },
        transfers: [],
      },
    ]);
  });
  logs.keyring.beginOrigin(microgrid);
  const verifierKey = logs.withKeysOnDisk().verifierKey(microgrid);
  return {
    document: { microgrid, origin, previousOrigin, verifierKey, checkpointSize: size, sequence },
    text: `The log of ${microgrid} goes on as ${origin}. Record ${sequence} commits to the last checkpoint of ${previousOrigin}, of ${size} records.
Start the service, tell everyone what happened, and give witnesses and those who verify the new key:
  ${verifierKey}`,
  };
}

/** The one of the most records that a key of the log has signed. */
function latestOf(
  logs: LogService,
  microgrid: string,
  notes: readonly string[],
): { note: string; checkpoint: Checkpoint } | undefined {
  const keys = logs.keyring.verifierKeys(microgrid).map((key) => ({ key }));
  const policy = { logs: keys, witnesses: [], groups: [], quorum: 'none' };
  return notes
    .flatMap((note) => {
      try {
        const verdict = openByPolicy(note, policy);
        return verdict.outcome === 'verified' ? [{ note, checkpoint: verdict.checkpoint }] : [];
      } catch (error) {
        if (error instanceof MalformedError) return [];
        throw error;
      }
    })
    .sort((a, b) => b.checkpoint.size - a.checkpoint.size)[0];
}

async function isContained(
  database: DatabaseService,
  logs: LogService,
  microgrid: string,
  { size, root }: Checkpoint,
): Promise<boolean> {
  const own = await logs.committed(database, microgrid);
  if (!own || size > own.size) return false;
  if (size === 0) return true;
  const read = logs.hashReader(database, microgrid, own.size);
  return verifyConsistency({
    oldSize: size,
    newSize: own.size,
    oldRoot: root,
    newRoot: own.root(),
    proof: await consistencyProof(size, own.size, read),
  });
}
