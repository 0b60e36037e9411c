import { expect, it } from '@jest/globals';
import {
  filterCovers,
  parseReadingsTopic,
  readingsTopic,
  settlementsTopic,
} from '../../src/broker/topics.js';

it('readings topics go there and back', () => {
  expect(parseReadingsTopic(readingsTopic('street', 'm-1'))).toEqual({
    microgridId: 'street',
    meterId: 'm-1',
  });
  expect(settlementsTopic('street', 'h1')).toBe('microgrids/street/households/h1/settlements');
});

it.each([
  '',
  'microgrids/street/meters/m1',
  'microgrids/street/meters/m1/readings/more',
  'microgrids/street/meters//readings',
  'microgrids/a b/meters/m1/readings',
  'other/street/meters/m1/readings',
])('%j is no readings topic', (topic) => {
  expect(parseReadingsTopic(topic)).toBeUndefined();
});

it.each([
  // MQTT 3.1.1, section 4.7: filter, topic, covered.
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/#', 'sport', true],
  ['#', 'sport/tennis', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['#', '$SYS/uptime', false],
  ['+/uptime', '$SYS/uptime', false],
  ['$SYS/#', '$SYS/uptime', true],
  ['a/#/b', 'a/b', false],
])('%s covers %s: %s', (filter, topic, covered) => {
  expect(filterCovers(filter, topic)).toBe(covered);
});
