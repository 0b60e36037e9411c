import { parseArgs } from 'node:util';
import mqtt from 'mqtt';
import { BadInput, readMapping, runCommand } from '../command-line.js';
import { shownMessage } from '../metering/device-watch.js';
import { MeterTest } from '../metering/meter-test.js';
import type { MeterReport } from '../metering/meter-test.js';
import { MAPPING } from '../metering/profiles/mapping.js';
import { PROFILE_NAMES, PROFILES } from '../metering/profiles/profile.js';
import type { MeterRole } from '../parties/microgrid.js';
import { printable } from '../units/printable.js';

/**
 * `npm run meter-test`: listens at the broker to one device and says in plain words what it hears and
 * what is wrong with it. It changes nothing and needs no service.
 */

const ROLES = ['grid', 'generation', 'storage'] as const satisfies readonly MeterRole[];

const HELP = `npm run meter-test -- --profile P --topic T [options]

Listens to a device at the broker and says what is heard and what is wrong: silence, only kept messages, a
wrong unit, a clock that is off, a register that falls, power without energy, or a format that is not
understood. The exit status is 0 when a register is heard and nothing is wrong, 1 otherwise, 2 for wrong
arguments. docs/connect-a-meter.md describes profiles, topics and mappings.

  --profile P        ${PROFILE_NAMES.slice(0, 7).join(', ')},
                     ${PROFILE_NAMES.slice(7).join(', ')}
  --topic T          below which the device publishes, as it is enrolled
  --mapping FILE     JSON: which of its fields is which register
  --role R           of the meter: ${ROLES.join(', ')}; says whether its registers are among those heard
  --time-zone ZONE   for local times without a zone, unless the mapping has one (default UTC)
  --seconds N        how long to listen (default 60)
  --mqtt-url URL     of the broker (default MQTT_URL, or mqtt://127.0.0.1:1883)
  --username U       and --password P, of the meter or of the service (default MQTT_USERNAME and
                     MQTT_PASSWORD); a meter may listen to its own device alone, and one that
                     is native to nothing: take the service's, or the operator's page
  --json             one JSON document on standard output
`;

await runCommand('meter-test', main);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      profile: { type: 'string' },
      topic: { type: 'string' },
      mapping: { type: 'string' },
      role: { type: 'string' },
      'time-zone': { type: 'string', default: 'UTC' },
      seconds: { type: 'string', default: '60' },
      'mqtt-url': { type: 'string' },
      username: { type: 'string' },
      password: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const name = PROFILE_NAMES.find((one) => one === values.profile);
  if (!name) throw new BadInput(`--profile: there are ${PROFILE_NAMES.join(', ')}`);
  const { topic } = values;
  if (topic === undefined || /[+#]/.test(topic) || topic.split('/').includes('')) {
    throw new BadInput(
      '--topic: the topic below which the device publishes, without + and #, and with no slash at its ends',
    );
  }
  const role = ROLES.find((one) => one === values.role);
  if (values.role !== undefined && !role) throw new BadInput(`--role: ${ROLES.join(', ')}`);
  if (!/^[1-9]\d{0,4}$/.test(values.seconds)) throw new BadInput('--seconds: a whole number');
  const seconds = Number(values.seconds);
  const timeZone = values['time-zone'];
  const checked = MAPPING.safeParse({ timeZone });
  if (!checked.success) throw new BadInput(`--time-zone: ${timeZone} is no IANA time zone`);
  const mapping = await readMapping(values.mapping);

  const session = PROFILES[name].open({ mapping, timeZone });
  const test = new MeterTest();
  const filters = PROFILES[name].filters(topic);
  const url = values['mqtt-url'] ?? process.env['MQTT_URL'] ?? 'mqtt://127.0.0.1:1883';
  if (!/^(mqtts?|wss?):\/\//.test(url) || !URL.canParse(url)) {
    throw new BadInput('--mqtt-url: the address of the broker, such as mqtt://127.0.0.1:1883');
  }
  await listen({ url, ...logIn(values), filters, seconds }, (message) => {
    const output = session.take(message);
    test.take(message, output);
    if (values.json) return;
    const { readings, rejections } = shownMessage(message, output);
    const said = [
      ...readings.map((one) =>
        one.valueWh === undefined
          ? `${one.powerW} W`
          : `${one.register} ${one.valueWh} Wh at ${one.readAt}`,
      ),
      ...rejections.map(({ reason, detail }) => `refused, ${reason}: ${detail}`),
    ];
    const what = said.length > 0 ? said.join('; ') : 'nothing for a meter';
    const line = `${message.topic}${message.retained ? ' (kept)' : ''}: ${what}`;
    process.stderr.write(`${printable(line)}\n`);
  });
  const report = test.report({ topic: filters.join(', '), profile: name, seconds, role });
  const isGood = report.problems.length === 0 && report.registers.length > 0;
  const document = { ok: isGood, profile: name, topic, seconds, ...report };
  process.stdout.write(values.json ? `${JSON.stringify(document)}\n` : inWords(report));
  return isGood ? 0 : 1;
}

interface Listening {
  url: string;
  username?: string | undefined;
  password?: string | undefined;
  filters: readonly string[];
  seconds: number;
}

interface Heard {
  topic: string;
  payload: Buffer;
  retained: boolean;
  receivedAtMillis: number;
}

/** @throws Error saying why the broker lets nothing be heard, and what to do */
async function listen(
  { url, username, password, filters, seconds }: Listening,
  hear: (message: Heard) => void,
): Promise<void> {
  const { protocol, host } = new URL(url);
  const broker = `${protocol}//${host}`;
  const client = await mqtt
    .connectAsync(url, {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      reconnectPeriod: 0,
      connectTimeout: 10_000,
    })
    .catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(
        `The broker at ${broker} cannot be used (${why}). Check --mqtt-url, --username and --password.`,
      );
    });
  try {
    client.on('message', (topic, payload, { retain }) => {
      hear({ topic, payload, retained: retain, receivedAtMillis: Date.now() });
    });
    await client.subscribeAsync([...filters], { qos: 0 }).catch(() => {
      throw new Error(
        `The broker does not let this user listen to ${filters.join(', ')}. Use the secret of the meter that is enrolled with this topic, or the service's. A native meter only writes: listen to it on the operator's page, under Devices.`,
      );
    });
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  } finally {
    await client.endAsync(true);
  }
}

function logIn(values: { username?: string | undefined; password?: string | undefined }) {
  return {
    username: values.username ?? process.env['MQTT_USERNAME'],
    password: values.password ?? process.env['MQTT_PASSWORD'],
  };
}

function inWords({ messages, registers, powerW, problems }: MeterReport): string {
  const heard = [
    `Heard ${messages} messages.`,
    ...registers.map((one) => `The ${one.register} register shows ${one.valueWh} Wh.`),
    ...(powerW === null ? [] : [`The power is ${powerW} W.`]),
  ];
  const wrong = problems.map(({ advice }) => `- ${advice}`);
  const verdict = wrong.length > 0 ? ['Not yet right:', ...wrong] : ['Nothing is wrong.'];
  return `${[...heard, ...verdict].map(printable).join('\n')}\n`;
}
