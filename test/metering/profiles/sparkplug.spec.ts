import { describe, expect, it } from '@jest/globals';
import tahu from 'sparkplug-payload/lib/sparkplugPayloadProto.js';
import { openSparkplug } from '../../../src/metering/profiles/sparkplug-message.js';
import { PROFILES } from '../../../src/metering/profiles/profile.js';
import { open, told } from './decoding.js';
import type { Opened } from './decoding.js';

/** Sparkplug B as its specification has it, section by section, over the real wire format. */

const { Payload } = tahu.org.eclipse.tahu.protobuf;
type Metric = Parameters<typeof Payload.encode>[0]['metrics'] extends (infer M)[] | null | undefined
  ? M
  : never;

const AT = Date.parse('2026-06-01T10:00:00Z');
const UINT_64 = 8;
const [INT_32, UINT_32, INT_64, FLOAT, DOUBLE, STRING] = [3, 7, 4, 9, 10, 12];

function encode(seq: number | null, metrics: Metric[], timestamp = AT): Buffer {
  const payload = { timestamp, metrics, ...(seq === null ? {} : { seq }) };
  return Buffer.from(Payload.encode(payload).finish());
}

const bdSeq = (value: number): Metric => ({ name: 'bdSeq', datatype: INT_64, longValue: value });
const importBirth: Metric = {
  name: 'Energy/Import',
  alias: 7,
  datatype: UINT_64,
  longValue: 1_000,
  timestamp: AT,
};
const importData = (wh: number): Metric => ({ alias: 7, longValue: wh });

const topic = (type: string, device = ''): string =>
  `spBv1.0/elm/${type}/gw${device === '' ? '' : `/${device}`}`;

/** Born with sequence 254 and one device m1 with 255, so that data begins at 0. */
function born(mapping: object = {}): Opened {
  const opened = open('sparkplug', mapping);
  expect(opened.hear(topic('NBIRTH'), encode(254, [bdSeq(3)]))).toEqual([]);
  expect(opened.hear(topic('DBIRTH', 'm1'), encode(255, [importBirth]))).toEqual([
    '2026-06-01T10:00:00Z import 1000 Wh m1',
  ]);
  return opened;
}

const data = (opened: Opened, seq: number, wh: number, more = {}): string[] =>
  opened.hear(topic('DDATA', 'm1'), encode(seq, [importData(wh)], AT + wh), more);

it('reads data by alias, without datatype, over the wrap of the sequence', () => {
  const opened = born();
  expect(data(opened, 0, 1_500)).toEqual(['2026-06-01T10:00:01.500Z import 1500 Wh m1']);
  expect(data(opened, 1, 2_000)).toEqual(['2026-06-01T10:00:02Z import 2000 Wh m1']);
});

it('reads nothing before a birth and asks for one, once a minute', () => {
  const session = PROFILES.sparkplug.open({ mapping: {}, timeZone: 'UTC' });
  const take = (receivedAtMillis: number) =>
    session.take({
      topic: topic('DDATA', 'm1'),
      payload: encode(5, [importData(1)]),
      retained: false,
      receivedAtMillis,
    });
  const first = take(AT);
  expect(told(first)).toEqual(['not_born']);
  expect(first.publish?.map((one) => one.topic)).toEqual(['spBv1.0/elm/NCMD/gw']);
  const [command] = openSparkplug(first.publish![0]!.payload).metrics;
  expect(command).toMatchObject({ name: 'Node Control/Rebirth', raw: { booleanValue: true } });
  expect(take(AT + 30_000).publish).toBeUndefined();
  expect(take(AT + 60_000).publish).toHaveLength(1);
});

describe('a gap in the sequence', () => {
  it('is waited for, and the messages are read in order when it is filled', () => {
    const opened = born();
    expect(data(opened, 1, 2_000)).toEqual([]);
    expect(data(opened, 2, 3_000)).toEqual([]);
    expect(data(opened, 0, 1_500)).toEqual([
      '2026-06-01T10:00:01.500Z import 1500 Wh m1',
      '2026-06-01T10:00:02Z import 2000 Wh m1',
      '2026-06-01T10:00:03Z import 3000 Wh m1',
    ]);
  });

  it.each([
    ['after two seconds', 1, 2_000],
    ['after sixteen messages', 15, 0],
  ])('leads to a rebirth %s, and nothing is read until then', (_, later, laterMillis) => {
    const opened = born();
    for (let seq = 1; seq <= later; seq += 1) expect(data(opened, seq, 2_000 + seq)).toEqual([]);
    const receivedAtMillis = Date.parse('2026-06-01T10:00:05Z') + laterMillis;
    expect(data(opened, later + 1, 9_000, { receivedAtMillis })).toEqual(['out_of_sequence']);
    expect(data(opened, later + 2, 9_100)).toEqual(['not_born']);
    expect(opened.hear(topic('NBIRTH'), encode(17, [bdSeq(4)]))).toEqual([]);
    expect(data(opened, 18, 9_200)).toEqual(['not_born']);
    expect(opened.hear(topic('DBIRTH', 'm1'), encode(19, [importBirth]))).toHaveLength(1);
    expect(data(opened, 20, 9_300)).toHaveLength(1);
  });
});

it('reads a message that comes twice as the same, and goes on', () => {
  const opened = born();
  const once = data(opened, 0, 1_500);
  expect(data(opened, 0, 1_500)).toEqual(once);
  expect(data(opened, 1, 2_000)).toHaveLength(1);
});

it('ignores a will of an earlier connection, and believes the present one', () => {
  const opened = born();
  expect(opened.hear(topic('NDEATH'), encode(null, [bdSeq(2)]))).toEqual([]);
  expect(data(opened, 0, 1_500)).toHaveLength(1);
  expect(opened.hear(topic('NDEATH'), encode(null, [bdSeq(3)]))).toEqual([]);
  expect(data(opened, 1, 2_000)).toEqual(['not_born']);
});

it('forgets a device that has died, and no other', () => {
  const opened = born();
  expect(opened.hear(topic('DDEATH', 'm1'), encode(0, []))).toEqual([]);
  expect(data(opened, 1, 2_000)).toEqual(['not_born']);
});

it('keeps missing, null and zero apart, and past moments with their own time', () => {
  const opened = born();
  const hear = (seq: number, metrics: Metric[]): string[] =>
    opened.hear(topic('DDATA', 'm1'), encode(seq, metrics));
  expect(hear(0, [])).toEqual([]);
  expect(hear(1, [{ alias: 7, isNull: true }])).toEqual(['no_value']);
  expect(hear(2, [{ alias: 7, longValue: 0 }])).toEqual(['2026-06-01T10:00:00Z import 0 Wh m1']);
  expect(hear(3, [{ alias: 7 }])).toEqual([]);
  expect(
    hear(4, [
      { alias: 7, longValue: 5, isHistorical: true, timestamp: AT - 900_000 },
      { alias: 7, longValue: 9, timestamp: AT },
    ]),
  ).toEqual(['2026-06-01T09:45:00Z import 5 Wh m1', '2026-06-01T10:00:00Z import 9 Wh m1']);
  expect(hear(5, [{ alias: 8, longValue: 5 }])).toEqual(['not_born']);
});

it.each<[string, Metric, string]>([
  ['unsigned beyond 2^31', { datatype: UINT_32, longValue: 4_000_000_000 }, '4000000000 Wh'],
  ['unsigned beyond 2^53', { datatype: UINT_64, longValue: 2 ** 53 }, 'malformed'],
  ['signed below zero', { datatype: INT_64, longValue: -1 }, 'malformed'],
  ['a short signed below zero', { datatype: INT_32, intValue: 0xffff_ffff }, 'malformed'],
  ['a float, as it was meant', { datatype: FLOAT, floatValue: 6825.4 }, '6825.4 Wh'],
  ['a double', { datatype: DOUBLE, doubleValue: 2687.3687 }, '2687.3687 Wh'],
  ['no number', { datatype: DOUBLE, doubleValue: Number.NaN }, 'no_value'],
  ['text', { datatype: STRING, stringValue: 'much' }, 'malformed'],
  [
    'a unit of its own',
    {
      datatype: DOUBLE,
      doubleValue: 1.5,
      properties: { keys: ['engUnit'], values: [{ type: STRING, stringValue: 'kWh' }] },
    },
    '1500 Wh',
  ],
  [
    'a unit that is none',
    {
      datatype: DOUBLE,
      doubleValue: 1.5,
      properties: { keys: ['engUnit'], values: [{ type: STRING, stringValue: 'hp' }] },
    },
    'unit_unknown',
  ],
])('reads %s', (_, metric, read) => {
  const { hear } = open('sparkplug');
  hear(topic('NBIRTH'), encode(0, [bdSeq(0)]));
  const heard = hear(topic('DBIRTH', 'm1'), encode(1, [{ name: 'Energy/Import', ...metric }]));
  expect(heard[0]!.replace('2026-06-01T10:00:00Z import ', '').replace(' m1', '')).toBe(read);
});

it('takes other names from the mapping, and of several devices the one that it names', () => {
  const mapping = {
    meter: 'm2',
    sources: [{ path: 'Total.kWh', register: 'export', unit: 'kWh' }],
  };
  const { hear } = open('sparkplug', mapping);
  const metrics = [{ name: 'Total.kWh', datatype: DOUBLE, doubleValue: 2 }];
  expect(hear(topic('NBIRTH'), encode(0, [bdSeq(0)]))).toEqual([]);
  expect(hear(topic('DBIRTH', 'm1'), encode(1, metrics))).toEqual([]);
  expect(hear(topic('DBIRTH', 'm2'), encode(2, metrics))).toEqual([
    '2026-06-01T10:00:00Z export 2000 Wh m2',
  ]);
});

it('counts none of several devices when nothing says which', () => {
  const opened = born();
  expect(opened.hear(topic('DBIRTH', 'm2'), encode(0, [importBirth]))).toEqual([
    '2026-06-01T10:00:00Z import 1000 Wh partial m2',
  ]);
  expect(data(opened, 1, 1_500)).toEqual(['2026-06-01T10:00:01.500Z import 1500 Wh partial m1']);
});

it('refuses what is retained, what is no protobuf, and what is too large', () => {
  const { hear } = open('sparkplug');
  expect(hear(topic('NBIRTH'), encode(0, []), { retained: true })).toEqual(['retained']);
  expect(hear(topic('NBIRTH'), Buffer.from('00ff', 'hex'))).toEqual(['malformed']);
  const many = Array.from({ length: 1_001 }, (): Metric => ({ alias: 1 }));
  expect(hear(topic('NBIRTH'), encode(0, many))).toEqual(['malformed']);
  expect(hear('spBv1.0/STATE/host', '{"online":true}')).toEqual([]);
  expect(hear(topic('NCMD'), encode(null, []))).toEqual([]);
});
