import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sharedFile } from '../../support/shared.js';

/** `npm run decode` as an installer types it: exact names, exact numbers, and what is wrong by name. */

interface Ran {
  status: number | null;
  output: string;
  errors: string;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'decode-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function decode(input: string | Buffer, ...args: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['scripts/run.mjs', 'decode', ...args]);
    let [output, errors] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output, errors }));
    // A command that refuses its arguments does not read on.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

async function mappingFile(mapping: unknown): Promise<string> {
  const file = join(folder, 'mapping.json');
  await writeFile(file, JSON.stringify(mapping));
  return file;
}

describe('npm run decode', () => {
  it('prints one document, with every digit', async () => {
    const { status, output } = await decode(
      '{"Time":"2026-06-01T12:00:00","SML":{"Total_in":900719925.4740993,"Total_out":0,"Power_curr":-894}}\n',
      '--profile=tasmota',
      '--topic=tele/x/SENSOR',
      '--time-zone=Europe/Berlin',
      '--json',
    );
    const note = '2026-06-01T12:00:00 in Europe/Berlin';
    const readAt = '2026-06-01T10:00:00Z';
    expect(status).toBe(0);
    expect(output).toContain('"valueWh":900719925474.0993,');
    expect(JSON.parse(output)).toEqual({
      readings: [
        {
          register: 'import',
          readAt,
          valueWh: Number('900719925474.0993'),
          quality: 'measured',
          note,
        },
        { register: 'export', readAt, valueWh: 0, quality: 'measured', note },
        { register: 'export', readAt, powerW: -894, quality: 'measured', note },
      ],
      rejections: [],
    });
  }, 300_000);

  it('shows what a stranger calls its device without its control characters', async () => {
    const { output } = await decode(
      'spBv1.0/g/NBIRTH/n\t08011800\nspBv1.0/g/DDATA/n/\u001b[2J\t08021801\n',
      '--profile=sparkplug',
      '--stream',
      '--encoding=hex',
    );
    expect(output).toBe('refused  not_born: \uFFFD[2J was not heard to be born\n');
  });

  it('says to people what is energy and what is power', async () => {
    const { output } = await decode(
      '{"ENERGY":{"Total":1.5,"Power":-894}}',
      '--profile=tasmota',
      '--topic=tele/x/SENSOR',
      '--received-at=2026-06-01T10:00:00Z',
    );
    expect(output).toBe(
      '2026-06-01T10:00:00Z  import 1500 Wh  (time of arrival)\n' +
        '2026-06-01T10:00:00Z  power -894 W  (time of arrival)\n',
    );
  });

  it('says what is refused, exits 0, and takes a mapping and the moment of arrival', async () => {
    const mapping = { sources: [{ path: 'a.kwh', register: 'import' }] };
    const { output, status } = await decode(
      'evcc/m\t{"a":{"kwh":null}}\n2026-06-01T12:00:00+02:00\tevcc/m\t{"a":{"kwh":2687.3687}}\n',
      '--profile=evcc',
      '--stream',
      `--mapping=${await mappingFile(mapping)}`,
      '--json',
    );
    expect([status, JSON.parse(output)]).toEqual([
      0,
      {
        readings: [
          {
            register: 'import',
            readAt: '2026-06-01T10:00:00Z',
            valueWh: 2687368.7,
            quality: 'measured',
            note: 'time of arrival',
          },
        ],
        rejections: [{ reason: 'no_value', detail: 'a.kwh has no value now, which is not zero' }],
      },
    ]);
  }, 300_000);

  it.each<[string, string[], string, object | null]>([
    [
      'an unknown profile',
      ['--profile', 'meter', '--topic', 'a'],
      '--profile meter: there are',
      null,
    ],
    ['no topic', ['--profile', 'p1'], 'give --topic', null],
    ['an option it does not have', ['--profil', 'p1'], "'--profil'", null],
    [
      'a bad mapping',
      ['--profile', 'p1', '--topic', 'a'],
      'sources.0.unit: registers have units of energy',
      { sources: [{ register: 'import', unit: 'kW' }] },
    ],
    [
      'an unknown field',
      ['--profile', 'p1', '--topic', 'a'],
      'there is no field source',
      { source: [] },
    ],
  ])(
    'refuses %s with status 2 and a line',
    async (_, args, line, mapping) => {
      const more = mapping === null ? [] : ['--mapping', await mappingFile(mapping)];
      const { status, output, errors } = await decode('', ...args, ...more, '--json');
      expect({ status, output }).toEqual({ status: 2, output: '' });
      expect(errors).toContain(line);
      expect(errors.trim().split('\n')).toHaveLength(1);
    },
    300_000,
  );
});

const path = sharedFile('vectors/meter-payloads.json');
(path === null ? describe.skip : describe)('npm run decode on public payloads', () => {
  const vectors = (path === null ? [] : JSON.parse(readFileSync(path, 'utf8'))) as {
    id: string;
    topic: string;
    payload: string;
    payloadEncoding: 'utf8' | 'base64';
    meaning: { publicKeySpkiHexOrB64?: string };
  }[];
  const vector = (id: string) => vectors.find((one) => one.id === id)!;
  const lines = (ids: string[]): string =>
    ids
      .map(vector)
      .map(({ topic, payload, payloadEncoding }) => {
        return `${topic}\t${Buffer.from(payload, payloadEncoding).toString('base64')}\n`;
      })
      .join('');
  const told = async (ids: string[], ...args: string[]): Promise<string[]> => {
    const { output } = await decode(
      lines(ids),
      ...args,
      '--stream',
      '--encoding',
      'base64',
      '--json',
    );
    const { readings, rejections } = JSON.parse(output) as {
      readings: { readAt: string; register: string; valueWh?: number; powerW?: number }[];
      rejections: { reason: string }[];
    };
    return [
      ...readings.map(({ readAt, register, valueWh, powerW }) =>
        valueWh === undefined ? `${powerW} W` : `${readAt} ${register} ${valueWh}`,
      ),
      ...rejections.map(({ reason }) => reason),
    ];
  };

  it('runs a session of births and aliases', async () => {
    const ids = ['nbirth', 'dbirth', 'ddata', 'ndeath', 'ddata'].map((one) => `sparkplug-${one}`);
    expect(await told(ids, '--profile', 'sparkplug')).toEqual([
      '2025-06-26T12:00:00Z import 4711000',
      '2025-06-26T12:00:00Z export 815000',
      '-1250 W',
      '2025-06-26T12:15:00Z import 4711000',
      '2025-06-26T12:15:00Z export 815312',
      '-1248 W',
      'not_born',
    ]);
  }, 300_000);

  it('tells a telegram from one with a wrong digit', async () => {
    expect(await told(['p1-dsmr5-corrupt', 'p1-dsmr5'], '--profile', 'p1')).toEqual([
      '2017-01-02T18:20:02Z import 6825',
      '2017-01-02T18:20:02Z export 2444',
      '244 W',
      'corrupt',
    ]);
  }, 300_000);

  it('believes a signature, and no other bytes under it', async () => {
    const { publicKeySpkiHexOrB64: publicKey } = vector('ocmf-brainpoolP256r1-3').meaning;
    const file = await mappingFile({ publicKey });
    const ids = ['ocmf-brainpoolP256r1-3', 'ocmf-tampered'];
    expect(await told(ids, '--profile', 'ocmf', '--mapping', file)).toEqual([
      '2021-10-26T11:15:09Z import 1833',
      'bad_signature',
    ]);
  }, 300_000);
});
