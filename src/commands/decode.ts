import { parseArgs } from 'node:util';
import { LosslessNumber, stringify } from 'lossless-json';
import { BadInput, readMapping, runCommand, standardInput } from '../command-line.js';
import { MAPPING } from '../metering/profiles/mapping.js';
import { PROFILE_NAMES, PROFILES } from '../metering/profiles/profile.js';
import type {
  ProfileMessage,
  ProfileOutput,
  ProfileReading,
} from '../metering/profiles/profile.js';
import { formatRegisterWh } from '../units/energy.js';
import { printable } from '../units/printable.js';
import { parseInstant } from '../units/slot.js';

const MOST_MEGABYTES = 64;
const ENCODINGS = ['utf8', 'base64', 'hex'] as const;

const HELP = `npm run decode -- --profile P --topic T [options] < payload
npm run decode -- --profile P --stream [options] < messages

Says what a device's payload means, without a service: the readings it holds and what is refused and why.
docs/connect-a-meter.md describes the profiles and mappings. Exits 2 on wrong arguments or a bad mapping.

  --profile P        ${PROFILE_NAMES.slice(0, 7).join(', ')},
                     ${PROFILE_NAMES.slice(7).join(', ')}
  --topic T          the topic that the message came on
  --mapping FILE     JSON: which fields of this meter are which register
  --time-zone ZONE   for local times without a zone, unless the mapping has one; by default UTC
  --received-at T    RFC 3339; by default now
  --retained         the broker replayed the message
  --stream           a session: one message a line, topic<TAB>payload, or received-at<TAB>topic<TAB>payload
  --encoding E       of payloads: utf8 (default), base64, hex
  --json             one JSON document on standard output
`;

await runCommand('decode', main);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      profile: { type: 'string' },
      topic: { type: 'string' },
      mapping: { type: 'string' },
      'time-zone': { type: 'string', default: 'UTC' },
      'received-at': { type: 'string' },
      retained: { type: 'boolean', default: false },
      stream: { type: 'boolean', default: false },
      encoding: { type: 'string', default: 'utf8' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const profile = PROFILE_NAMES.find((name) => name === values.profile);
  if (!profile) {
    const said = values.profile === undefined ? '' : ` ${values.profile}`;
    throw new BadInput(`--profile${said}: there are ${PROFILE_NAMES.join(', ')}`);
  }
  const encoding = ENCODINGS.find((name) => name === values.encoding);
  if (!encoding) throw new BadInput(`--encoding: there are ${ENCODINGS.join(', ')}`);
  const { topic, retained, stream } = values;
  if ((topic === undefined) !== stream) throw new BadInput('give --topic, or --stream without it');
  const timeZone = zone(values['time-zone']);
  const receivedAtMillis = instant(values['received-at'], '--received-at') ?? Date.now();
  const mapping = await readMapping(values.mapping);
  const session = PROFILES[profile].open({ mapping, timeZone });
  const common = { retained, receivedAtMillis };
  const bytes = await standardInput(MOST_MEGABYTES);
  const messages: ProfileMessage[] =
    topic === undefined
      ? linesOf(bytes, encoding, common)
      : [
          {
            ...common,
            topic,
            payload: encoding === 'utf8' ? bytes : decoded(bytes.toString(), encoding),
          },
        ];
  const outputs = messages.map((message) => session.take(message));
  process.stdout.write(values.json ? `${asJson(outputs)}\n` : readable(outputs));
  for (const { topic: command } of outputs.flatMap(({ publish }) => publish ?? [])) {
    process.stderr.write(`decode: the service would now publish to ${printable(command)}\n`);
  }
  return 0;
}

/** Through the mapping's own check, so that there is one. */
function zone(timeZone: string): string {
  if (MAPPING.safeParse({ timeZone }).success) return timeZone;
  throw new BadInput(`--time-zone ${timeZone}: not an IANA time zone, such as Europe/Berlin`);
}

function instant(text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseInstant(text);
  } catch (error) {
    throw new BadInput(`${what}: ${error instanceof Error ? error.message : text}`);
  }
}

function linesOf(
  bytes: Buffer,
  encoding: (typeof ENCODINGS)[number],
  common: Pick<ProfileMessage, 'retained' | 'receivedAtMillis'>,
): ProfileMessage[] {
  const lines = bytes.toString('latin1').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, index) => {
    const cells = line.split('\t');
    const hasTime = cells.length > 2 && /^\d{4}-\d{2}-\d{2}T/.test(cells[0]!);
    const at = hasTime ? instant(cells.shift(), `line ${index + 1}`)! : common.receivedAtMillis;
    const topic = cells.shift()!;
    if (cells.length === 0)
      throw new BadInput(`line ${index + 1}: no tab between topic and payload`);
    const payload = cells.join('\t');
    return {
      ...common,
      receivedAtMillis: at,
      topic: Buffer.from(topic, 'latin1').toString('utf8'),
      payload: encoding === 'utf8' ? Buffer.from(payload, 'latin1') : decoded(payload, encoding),
    };
  });
}

function decoded(text: string, encoding: 'base64' | 'hex'): Buffer {
  const bare = text.replaceAll(/\s/g, '');
  const pattern = encoding === 'hex' ? /^([0-9A-Fa-f]{2})*$/ : /^[A-Za-z0-9+/_-]*={0,2}$/;
  if (!pattern.test(bare)) throw new BadInput(`a payload is not ${encoding}`);
  return Buffer.from(bare, encoding);
}

/** Registers as decimals with all their digits, which a JavaScript number would round. */
function asJson(outputs: readonly ProfileOutput[]): string {
  const readings = outputs.flatMap((output) => output.readings.map(jsonReading));
  const rejections = outputs.flatMap((output) =>
    output.rejections.map(({ reason, detail }) => ({ reason, detail })),
  );
  return stringify({ readings, rejections })!;
}

function jsonReading({ meter, register, readAt, microWh, powerW, quality, note }: ProfileReading) {
  return {
    ...(meter === undefined ? {} : { meter }),
    register,
    readAt,
    ...(microWh === null ? { powerW } : { valueWh: new LosslessNumber(formatRegisterWh(microWh)) }),
    quality,
    ...(note === undefined ? {} : { note }),
  };
}

function readable(outputs: readonly ProfileOutput[]): string {
  const lines = outputs.flatMap(({ readings, rejections }) => [
    ...readings.map(({ meter, register, readAt, microWh, powerW, quality, note }) => {
      const value =
        microWh === null ? `power ${powerW} W` : `${register} ${formatRegisterWh(microWh)} Wh`;
      const more = [quality === 'measured' ? '' : quality, meter ?? '', note ?? ''];
      const rest = more.filter((one) => one !== '').join(', ');
      return `${readAt}  ${value}${rest === '' ? '' : `  (${rest})`}`;
    }),
    ...rejections.map(({ reason, detail }) => `refused  ${reason}: ${detail}`),
  ]);
  return lines.length === 0
    ? 'nothing to read, and nothing wrong\n'
    : `${lines.map(printable).join('\n')}\n`;
}
