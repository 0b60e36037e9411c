import { describe, expect, test } from '@jest/globals';
import { PROFILE_NAMES } from '../../src/parties/meter-profile.js';
import {
  DEVICE_PROFILES,
  heardInWords,
  parseMapping,
  profileOf,
  readingInWords,
  refusalInWords,
} from '../../web/src/devices.js';

describe('a device on the page', () => {
  test('may be any that the service knows', () => {
    expect(DEVICE_PROFILES.map(({ name }) => name)).toEqual(PROFILE_NAMES);
  });

  test.each([
    ['', { ok: true, mapping: null }],
    [' \n', { ok: true, mapping: null }],
    ['{"invert": true}', { ok: true, mapping: { invert: true } }],
    ['[]', { ok: false, reason: expect.stringContaining('JSON object') }],
    ['null', { ok: false, reason: expect.stringContaining('JSON object') }],
    ['{"invert"', { ok: false, reason: expect.stringContaining('not JSON yet') }],
  ])('a mapping typed as %j', (typed, parsed) => {
    expect(parseMapping(typed)).toEqual(parsed);
  });

  test('its own topic goes without saying, another one is said', () => {
    const own = 'microgrids/street/meters/m1';
    const device = { profile: 'shelly', topic: ` ${own} `, mapping: '' };
    expect(profileOf(device, null, own)).toEqual({ profile: 'shelly' });
    expect(profileOf({ ...device, topic: 'shellies/em-1' }, { invert: true }, own)).toEqual({
      profile: 'shelly',
      topic: 'shellies/em-1',
      mapping: { invert: true },
    });
  });

  test('what is read of it and what is refused is said in words', () => {
    const readAt = '2026-06-01T10:15:00Z';
    const read = { register: 'import', readAt, quality: 'measured' } as const;
    expect(readingInWords({ ...read, valueWh: '12.5' })).toBe('import 12.5 Wh');
    expect(readingInWords({ ...read, valueWh: '12.5', quality: 'partial' })).toMatch(/a part/);
    expect(readingInWords({ ...read, powerW: -3 })).toBe('−3 W, for display only');
    expect(refusalInWords({ reason: 'no_value', detail: 'energy has no value now.' })).toBe(
      'Refused (no value): energy has no value now.',
    );
    const report = {
      messages: 3,
      retained: 1,
      registers: [],
      clockBehindSeconds: null,
      problems: [],
    };
    expect(heardInWords({ ...report, powerW: 5 })).toBe(
      '3 messages, 1 of them kept by the broker. The power is 5 W.',
    );
  });
});
