import { readFile } from 'node:fs/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { DatabaseService } from './database/database.service.js';
import { MAPPING } from './metering/profiles/mapping.js';
import { UsageError, type Command, type Given, type Outcome } from './operator-command.js';
import { ClaimService } from './parties/claim.service.js';
import { ownTopic, PROFILE, PROFILE_NAMES, profileFacts } from './parties/meter-profile.js';
import { MeterProfileService } from './parties/meter-profile.service.js';
import { parse } from './parties/parse.js';
import { COMMAND_LINE } from './parties/people.js';

/** The commands of `npm run operator` for the formats of meters' devices. */

const BY = COMMAND_LINE.personId;
const TEXT = { type: 'string' } as const;

export const PROFILE_COMMANDS: Readonly<Record<string, Command>> = {
  'set-profile': {
    usage: '--microgrid M --meter ID --profile P [--topic T] [--mapping FILE]',
    summary: 'how the device of a meter speaks from now on',
    help: `  --profile P             ${PROFILE_NAMES.slice(0, 7).join(', ')},
                          ${PROFILE_NAMES.slice(7).join(', ')}
  --topic T               below which it publishes (default microgrids/M/meters/ID)
  --mapping FILE          JSON: which of its fields is which register; docs/connect-a-meter.md`,
    options: { microgrid: TEXT, meter: TEXT, profile: TEXT, topic: TEXT, mapping: TEXT },
    required: ['microgrid', 'meter', 'profile'],
    run: setProfile,
  },
  'claim-code': {
    usage: '--microgrid M --meter ID',
    summary: 'a one-time code by which the household claims the meter; a new one ends the old',
    options: { microgrid: TEXT, meter: TEXT },
    required: ['microgrid', 'meter'],
    run: makeClaimCode,
  },
};

async function setProfile(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const [microgridId, meterId] = [given.text('microgrid'), given.text('meter')];
  const file = given.optional('mapping');
  const mapping = file === undefined ? null : await readJson(file);
  if (mapping !== null) parse(MAPPING, mapping);
  const request = parse(PROFILE, {
    profile: given.text('profile'),
    topic: given.optional('topic'),
    mapping,
  });
  const set = await app
    .get(DatabaseService)
    .transaction((sql) => app.get(MeterProfileService).set(sql, microgridId, meterId, request, BY));
  const topic = set?.topic ?? ownTopic({ microgridId, meterId });
  const document = { meter: meterId, topic, mapping: null, ...profileFacts(set) };
  return { document, text: `${meterId} speaks ${set?.profile ?? 'native'} on ${topic}.` };
}

async function makeClaimCode(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const document = await app
    .get(DatabaseService)
    .transaction((sql) =>
      app.get(ClaimService).makeCode(sql, given.text('microgrid'), given.text('meter'), BY),
    );
  const { meter, household, code, expiresAt } = document;
  const text = `Code of ${meter} for ${household}, shown only now, good once until ${expiresAt}: ${code}`;
  return { document, text };
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    throw new UsageError(`${file} is not JSON that can be read: ${String(error)}`);
  }
}
