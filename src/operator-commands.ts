import { readFile } from 'node:fs/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { DatabaseService } from './database/database.service.js';
import type { Sql } from './database/database.service.js';
import { erase, migrated } from './database-commands.js';
import { ExchangeService } from './metering/exchange.service.js';
import { METER_EXCHANGE } from './metering/meter-exchange.js';
import { MeteringService } from './metering/metering.service.js';
import { UsageError, type Command, type Given, type Outcome } from './operator-command.js';
import { DEVICE_COMMANDS, listed, writeSecrets } from './operator-device-commands.js';
import { LOG_COMMANDS } from './operator-log-commands.js';
import { PROFILE_COMMANDS } from './operator-profile-commands.js';
import { JoiningService } from './parties/joining.service.js';
import { CSV_COLUMNS, parseMemberCsv } from './parties/member-csv.js';
import type { CsvFault } from './parties/member-csv.js';
import {
  MECHANISMS,
  PRICINGS,
  RATIONINGS,
  SHARING_KEYS,
  type Mechanism,
  type Pricing,
  type Rationing,
  type SharingKey,
} from './parties/microgrid.js';
import { PartiesService } from './parties/parties.service.js';
import { instant, parse } from './parties/parse.js';
import { COMMAND_LINE } from './parties/people.js';
import { PeopleService } from './parties/people.service.js';
import { parseMicro } from './units/money.js';

/** The commands of `npm run operator`: what each needs, does and answers. */

const BY = COMMAND_LINE.personId;
const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean' } as const;

export const OPERATOR_COMMANDS: Readonly<Record<string, Command>> = {
  'create-operator': {
    usage: '--user U [--name NAME] [--microgrid M]',
    summary: 'an operator, of the deployment or of one microgrid, with a one-time password',
    options: { user: TEXT, name: TEXT, microgrid: TEXT },
    required: ['user'],
    run: createOperator,
  },
  'create-microgrid': {
    usage: '--microgrid M --currency EUR --starts-at INSTANT --retail 0.30 --feed-in 0.05 [...]',
    summary: 'a microgrid with its first tariff',
    help: `  --name NAME             shown to its people (default the id)
  --time-zone ZONE        IANA name (default UTC)
  --slot-minutes N        5, 15, 30 or 60 (default 15)
  --mechanism M           ${MECHANISMS.join(', ')} (default metered)
  --pricing P             ${PRICINGS.join(', ')}
                          (default what the mechanism allows first)
  --rationing R           ${RATIONINGS.join(', ')} (default pro-rata)
  --sharing-key K         ${SHARING_KEYS.join(', ')} (default dynamic)
  --sharing-price 0.00    per kWh, for sharing at a fixed price
  --grace-seconds N       how long after its end a slot waits for late readings (default 300)
  --grid-fee 0.00         per kWh between neighbors
  --credit-limit 0.00     that every wallet may owe`,
    options: {
      microgrid: TEXT,
      name: TEXT,
      currency: TEXT,
      'starts-at': TEXT,
      retail: TEXT,
      'feed-in': TEXT,
      'grid-fee': TEXT,
      'time-zone': TEXT,
      'slot-minutes': TEXT,
      mechanism: TEXT,
      pricing: TEXT,
      rationing: TEXT,
      'sharing-key': TEXT,
      'sharing-price': TEXT,
      'grace-seconds': TEXT,
      'credit-limit': TEXT,
    },
    required: ['microgrid', 'currency', 'starts-at', 'retail', 'feed-in'],
    run: createMicrogrid,
  },
  import: {
    usage: 'FILE --microgrid M [--gateway ID]... [--dry-run] [--secrets FILE]',
    summary: 'members and meters from a CSV file, all of them or none',
    help: `FILE is CSV with a header line of these columns, in any order; only household must be there:
  ${CSV_COLUMNS.join(',')}
  household               id; a household with several meters stands on several lines
  alias                   what its neighbors see (default the id)
  meter                   id; on every line, unless the household has no meter yet
  role                    grid, generation or storage
  usable_wh               usable size of a battery, for storage only
  feeder                  the node of the network that it hangs from
  share_parts             its parts of a surplus under a static key, and share_rank, its turn
                          under a cascade
  import_limit_w          of its connection, and export_limit_w
  active_from             slot border, RFC 3339 (default the start of the microgrid or the next slot)
  gateway                 the gateway that publishes for the meter
  profile                 how its device speaks (default native), and topic, below which it publishes

  --gateway ID            a new gateway to enrol with the file; may be repeated
  --dry-run               check only
  --secrets FILE          write the new secrets there (0600), instead of printing them once`,
    options: {
      microgrid: TEXT,
      gateway: { type: 'string', multiple: true },
      'dry-run': FLAG,
      secrets: TEXT,
    },
    required: ['microgrid'],
    positional: true,
    run: importMembers,
  },
  invite: {
    usage: '--microgrid M --household H [--valid-from INSTANT]',
    summary: 'a token by which somebody joins a household',
    options: { microgrid: TEXT, household: TEXT, 'valid-from': TEXT },
    required: ['microgrid', 'household'],
    run: invite,
  },
  'reset-password': {
    usage: '--user U',
    summary: 'a token by which somebody sets a new password',
    options: { user: TEXT },
    required: ['user'],
    run: resetPassword,
  },
  'exchange-meter': {
    usage: '--microgrid M --meter ID --at INSTANT [--import OLD,NEW] [--export OLD,NEW]',
    summary: 'a meter was replaced: what the old one showed last and the new one first, in Wh',
    options: { microgrid: TEXT, meter: TEXT, at: TEXT, import: TEXT, export: TEXT },
    required: ['microgrid', 'meter', 'at'],
    run: exchangeMeter,
  },
  'move-out': {
    usage: '--microgrid M --household H --at INSTANT',
    summary: 'end a household, its meters, grants and devices at a slot border',
    options: { microgrid: TEXT, household: TEXT, at: TEXT },
    required: ['microgrid', 'household', 'at'],
    run: moveOut,
  },
  migrate: {
    usage: '',
    summary: "bring the database's schema and rights up to date",
    help: `  Every start does so where the log-in may. Set DATABASE_OWNER_URL where the service's own may not.`,
    options: {},
    required: [],
    run: migrated,
  },
  erase: {
    usage: 'HOUSEHOLD [--dry-run]',
    summary: 'erase a household that has gone: its data, its keys and its people',
    help: `Only after its final settlement: it has moved out, all its slots are settled, and the correction
window is over. Nothing brings the data back but a backup. docs/operate.md says what goes and what
stays. It acts as the eraser: DATABASE_ERASER_URL, or the embedded database's own log-in.

  --dry-run               do it, say what went, and take it back`,
    options: { 'dry-run': FLAG },
    required: [],
    positional: true,
    run: erase,
  },
  rejections: {
    usage: '--microgrid M [--limit N]',
    summary: 'readings that were refused, and why, latest first',
    options: { microgrid: TEXT, limit: { type: 'string', default: '20' } },
    required: ['microgrid'],
    run: rejections,
  },
  ...DEVICE_COMMANDS,
  ...LOG_COMMANDS,
  ...PROFILE_COMMANDS,
};

async function createOperator(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const user = given.text('user');
  const microgrid = given.optional('microgrid');
  const request = {
    person: user,
    name: given.optional('name') ?? user,
    grants: [{ role: 'operator' as const, microgrid }],
  };
  const document = await transaction(app, (sql) =>
    app.get(PeopleService).createPerson(sql, request, COMMAND_LINE),
  );
  const password = document.oneTimePassword!;
  return { document, text: `One-time password of ${user}, shown only now: ${password}` };
}

async function createMicrogrid(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const money = (option: string): number => amount(option, given.optional(option) ?? '0');
  const number = (option: string): number | undefined => whole(option, given.optional(option));
  const band = {
    fromMinute: 0,
    retailMicroPerKwh: money('retail'),
    feedInMicroPerKwh: money('feed-in'),
    gridFeeMicroPerKwh: money('grid-fee'),
  };
  const created = await transaction(app, (sql) =>
    app.get(PartiesService).createMicrogrid(
      sql,
      {
        microgrid: given.text('microgrid'),
        name: given.optional('name') ?? given.text('microgrid'),
        timeZone: given.optional('time-zone'),
        currency: given.text('currency'),
        // The schema behind says which values there are.
        slotMinutes: number('slot-minutes') as 15 | undefined,
        mechanism: given.optional('mechanism') as Mechanism | undefined,
        pricing: given.optional('pricing') as Pricing | undefined,
        rationing: given.optional('rationing') as Rationing | undefined,
        sharingKey: given.optional('sharing-key') as SharingKey | undefined,
        sharingPriceMicroPerKwh:
          given.optional('sharing-price') === undefined ? null : money('sharing-price'),
        graceSeconds: number('grace-seconds'),
        creditLimitMicro: money('credit-limit'),
        startsAt: given.text('starts-at'),
        tariff: { bands: [band] },
      },
      BY,
    ),
  );
  const text = `Microgrid ${created.microgridId} starts at ${created.startsAt}.`;
  return { document: { microgrid: created.microgridId, startsAt: created.startsAt }, text };
}

async function importMembers(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const [file, ...more] = given.positional;
  if (file === undefined || more.length > 0) throw new UsageError('Name one CSV file.');
  const microgrid = given.text('microgrid');
  const csv = parseMemberCsv(await readFile(file, 'utf8'), given.list('gateway'));
  const parties = app.get(PartiesService);
  const faults = await transaction(app, (sql) =>
    parties.enrolmentFaults(sql, microgrid, csv.enrolment),
  );
  const all = [...csv.faults, ...faults.flatMap((fault) => csv.placeOf(fault) ?? [])];
  const { members, gateways } = csv.enrolment;
  const counted = {
    households: members.length,
    meters: members.reduce((sum, one) => sum + one.meters.length, 0),
    gateways: gateways.length,
  };
  if (all.length > 0) return refusedImport(all);
  const what = `${counted.households} households with ${counted.meters} meters`;
  if (given.flag('dry-run')) {
    const document = { imported: false, dryRun: true, ...counted, faults: [] };
    return { document, text: `${what} can be enrolled. Nothing was written.` };
  }
  const secrets = given.optional('secrets');
  const items = await transaction(app, async (sql) => {
    const issued = await parties.enrolMembers(sql, microgrid, csv.enrolment, BY);
    if (secrets !== undefined) await writeSecrets(secrets, issued);
    return issued;
  });
  const shown = secrets === undefined ? { items } : { secrets };
  return {
    document: { imported: true, ...counted, faults: [], ...shown },
    text: `Enrolled ${what}.\n${secrets === undefined ? listed(items) : `Secrets are in ${secrets}.`}`,
  };
}

function refusedImport(faults: readonly CsvFault[]): Outcome {
  const ordered = [...faults].sort((a, b) => a.line - b.line);
  const lines = ordered.map(({ line, column, detail }) => {
    const where = line === 0 ? '--gateway' : `line ${line}`;
    return `${where}${column === null || line === 0 ? '' : `, ${column}`}: ${detail}`;
  });
  return {
    document: { imported: false, faults: ordered },
    text: `${lines.join('\n')}\nNothing was enrolled: ${lines.length} to correct.`,
    failed: true,
  };
}

async function invite(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const request = { validFrom: given.optional('valid-from') };
  const document = await transaction(app, (sql) =>
    app
      .get(JoiningService)
      .invite(sql, given.text('microgrid'), given.text('household'), request, BY),
  );
  const text = `Invitation, shown only now, good until ${document.expiresAt}: ${document.token}`;
  return { document, text };
}

async function resetPassword(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const person = given.text('user');
  const issued = await transaction(app, (sql) =>
    app.get(JoiningService).issueReset(sql, person, COMMAND_LINE),
  );
  const text = `Reset token, shown only now, good until ${issued.expiresAt}: ${issued.token}`;
  return { document: { person, ...issued }, text };
}

async function exchangeMeter(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const [microgridId, meter] = [given.text('microgrid'), given.text('meter')];
  const values = (name: 'import' | 'export') => {
    const text = given.optional(name);
    if (text === undefined) return {};
    const [oldFinalWh, newFirstWh] = text.split(',');
    return { [name]: { oldFinalWh, newFirstWh } };
  };
  const exchange = parse(METER_EXCHANGE, {
    exchangedAt: given.text('at'),
    ...values('import'),
    ...values('export'),
  });
  const microgrid = await app.get(PartiesService).microgrid(app.get(DatabaseService), microgridId);
  if (!microgrid) throw new UsageError(`There is no microgrid ${microgridId}.`);
  const document = await transaction(app, (sql) =>
    app.get(ExchangeService).exchange(sql, microgrid, meter, exchange, BY),
  );
  return { document, text: `${meter} goes on as another one from ${document.exchangedAt}.` };
}

async function moveOut(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const household = given.text('household');
  const activeUntil = parse(instant, given.text('at'));
  const { meters } = await transaction(app, (sql) =>
    app.get(PartiesService).moveOut(sql, given.text('microgrid'), household, activeUntil, BY),
  );
  const text = `${household} and its meters ${meters.join(', ')} end at ${activeUntil}.`;
  return { document: { household, activeUntil, meters }, text };
}

async function rejections(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const limit = whole('limit', given.text('limit'))!;
  const page = { limit: Math.min(Math.max(limit, 1), 1000), after: null };
  const rows = await app
    .get(MeteringService)
    .rejections(app.get(DatabaseService), given.text('microgrid'), page);
  const items = rows.map(({ meterId, reason, topic, detail, count, firstSeenAt, lastSeenAt }) => {
    return { meter: meterId, reason, topic, detail, count, firstSeenAt, lastSeenAt };
  });
  const lines = items.map(
    (one) => `${one.lastSeenAt}  ${one.reason}  ${one.topic}  ${one.count} times: ${one.detail}`,
  );
  return { document: { items, next: null }, text: lines.join('\n') || 'Nothing was refused.' };
}

function amount(option: string, text: string): number {
  try {
    return parseMicro(text);
  } catch {
    throw new UsageError(`--${option} must be an amount such as 0.30, not ${text}.`);
  }
}

function whole(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${option} must be a whole number.`);
  return Number(text);
}

function transaction<T>(app: INestApplicationContext, work: (sql: Sql) => Promise<T>): Promise<T> {
  return app.get(DatabaseService).transaction(work);
}
