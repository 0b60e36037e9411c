import { describe, expect, test } from '@jest/globals';
import { accessPeriod, ACTIONS, may, mayPublish, maySubscribe } from '../../src/parties/access.js';
import type { Action, Grant, Principal, Scope } from '../../src/parties/access.js';
import { deviceTopics } from '../../src/parties/meter-profile.js';

/** Who may do what, as a table: people over HTTP and sockets, devices over MQTT. */

const NOON = '2026-06-01T12:00:00Z';

function grant(role: Grant['role'], place: string, from?: string, until?: string): Grant {
  const [microgridId = null, householdId = null] = place === '' ? [] : place.split('/');
  return {
    role,
    microgridId,
    householdId,
    validFrom: from ?? '2026-06-01T00:00:00Z',
    validUntil: until ?? null,
  };
}

const PEOPLE: Record<string, Grant[]> = {
  anna: [grant('household', 'street/h1')],
  olga: [grant('operator', '')],
  otto: [grant('operator', 'street')],
  rita: [grant('regulator', 'street')],
  aude: [grant('auditor', 'street')],
  sim: [grant('simulator', '')],
  gone: [grant('household', 'street/h1', '2026-06-01T00:00:00Z', '2026-06-01T12:00:00Z')],
  soon: [grant('household', 'street/h1', '2026-06-01T12:15:00Z')],
  nobody: [],
};

// action | microgrid/household | who may; everybody else of PEOPLE may not
const SCENARIOS = `
  self               |            | anna olga otto rita aude sim gone soon nobody
  microgrid.read     | street     | anna olga otto rita aude sim
  microgrid.read     | other      | olga sim
  microgrid.read     |            | olga sim
  market.read        | street     | anna olga otto sim
  fairness.read      | street     | anna olga otto rita sim
  fairness.read      | other      | olga sim
  household.read     | street/h1  | anna olga otto
  household.read     | street/h2  | olga otto
  household.read     | other/h1   | olga
  household.read     | street     | olga otto
  household.write    | street/h1  | anna
  household.write    | street/h2  |
  meter.claim        | street/h1  | anna
  meter.claim        | street/h2  |
  meter.claim        | street     |
  strategy.write     | street/h1  | anna olga otto
  strategy.write     | street/h2  | olga otto
  order.write        | street/h1  | anna
  order.read         | street/h1  | anna olga otto
  ledger.read        | street     | anna olga otto rita
  feed.household     | street/h1  | anna
  feed.household     | street     |
  feed.operator      | street     | olga otto
  feed.operator      | other      | olga
  feed.regulator     | street     | rita
  program.write      | street     | rita
  program.join       | street/h1  | anna
  efficiency.read    | street     | rita
  efficiency.read    | other      |
  accounts.read      | street     | olga otto aude
  accounts.read      | other      | olga
  manifest.read      | street     | olga otto aude
  manifest.read      | other      | olga
  operator.read      | street     | olga otto
  operator.write     | other      | olga
  microgrid.create   | new        | olga
  deployment.grant   |            | olga
  people.manage      |            | olga otto
  deposit.write      | street     | olga otto
  clock.advance      |            | sim
  reading.publish    | street/h1  |
  settlement.receive | street/h1  |
`;

describe('people', () => {
  test.each(lines(SCENARIOS))('%s on "%s": %s', (action, place, allowed) => {
    const [microgrid, household] = place === '' ? [] : place.split('/');
    const scope: Scope = { microgrid, household };
    const names = Object.keys(PEOPLE).filter((name) =>
      may(PEOPLE[name]!, action as Action, scope, NOON),
    );
    expect(names.join(' ')).toBe(allowed);
  });

  test('every action of the table is tried above, or is one of a few more', () => {
    const tried = new Set(lines(SCENARIOS).map(([action]) => action));
    const more = ['feed.microgrid', 'program.read', 'regulator-log.read', 'operator.list'];
    expect(ACTIONS.filter((action) => !tried.has(action) && !more.includes(action))).toEqual([]);
  });

  test('fractions of a second do not confuse the borders', () => {
    const last = '2026-06-01T11:59:59.999Z';
    expect(may(PEOPLE['gone']!, 'household.read', { household: 'h1' }, last)).toBe(true);
    expect(may(PEOPLE['soon']!, 'household.read', { household: 'h1' }, NOON)).toBe(false);
    const first = '2026-06-01T12:15:00.001Z';
    expect(may(PEOPLE['soon']!, 'household.read', { household: 'h1' }, first)).toBe(true);
  });
});

describe('the period a reader may see', () => {
  const h1 = { microgrid: 'street', household: 'h1' };

  test.each([
    ['a tenant: from moving in', PEOPLE['anna']!, { from: '2026-06-01T00:00:00Z', until: null }],
    ['an operator: all', PEOPLE['otto']!, { from: null, until: null }],
    ['a former tenant: nothing', PEOPLE['gone']!, null],
    ['the next tenant, too early: nothing', PEOPLE['soon']!, null],
    ['a regulator: nothing', PEOPLE['rita']!, null],
    [
      'who came back: only since then',
      [...PEOPLE['gone']!, grant('household', 'street/h1', '2026-06-01T12:00:00Z')],
      { from: '2026-06-01T12:00:00Z', until: null },
    ],
    [
      'who will leave: until then',
      [grant('household', 'street/h1', '2026-06-01T09:00:00Z', '2026-06-02T00:00:00Z')],
      { from: '2026-06-01T09:00:00Z', until: '2026-06-02T00:00:00Z' },
    ],
  ])('%s', (_, grants, period) => {
    expect(accessPeriod(grants, h1, NOON)).toEqual(period);
  });
});

const DEVICES: Record<string, Principal> = {
  m1: device('m1', 'meter', 'street'),
  h1: device('h1', 'household', 'street'),
  gw: device('gw', 'gateway', 'street', ['m2', 'm3']),
  em: device('em', 'meter', 'street', [], deviceTopics({ topic: 'shellies/em-1' })),
  node: device('node', 'meter', 'street', [], deviceTopics({ topic: 'spBv1.0/g' })),
  service: device('service', 'service', null),
};

function device(
  username: string,
  kind: Principal['kind'],
  microgridId: string | null,
  meters: string[] = [],
  topics: string[] = [],
): Principal {
  return { username, kind, microgridId, meters: new Set(meters), topics };
}

// topic | who may publish
const PUBLISH = `
  microgrids/street/meters/m1/readings         | m1 service
  microgrids/street/meters/m1                  | m1 service
  microgrids/other/meters/m1/readings          | m1 service
  microgrids/street/meters/m2/readings         | gw service
  microgrids/street/meters/m3/status/x         | gw service
  microgrids/other/meters/m2/readings          | service
  microgrids/street/meters/gw/readings         | service
  microgrids/street/meters/h1/readings         | service
  microgrids/street/households/h1/settlements  | service
  microgrids/street/meters/+/readings          |
  microgrids/street/meters/m1/#                |
  microgrids/+/meters/m1/readings              |
  microgrids                                   |
  $SYS/broker/uptime                           |
  elsewhere/street/meters/m1/readings          |
  microgrids/street/meters/em/readings         | em service
  shellies/em-1/emeter/0/total                 | em
  shellies/em-10/emeter/0/total                |
  shellies/announce                            |
  spBv1.0/g/NBIRTH/n                           | node
  spBv1.0/g/DDATA/n/d                          | node
  spBv1.0/h/NDATA/n                            |
  /microgrids/street/meters/m1/readings        |
`;

// filter | who may subscribe
const SUBSCRIBE = `
  microgrids/street/households/h1/settlements  | h1 service
  microgrids/+/households/h1/settlements       | h1 service
  microgrids/#/households/h1/settlements       | service
  microgrids/street/households/+/settlements   | service
  microgrids/street/households/h1/#            | service
  microgrids/street/households/h1/+            | service
  microgrids/street/households/h2/settlements  | service
  microgrids/+/meters/+/readings               | service
  microgrids/street/meters/m1/readings         | service
  microgrids/#                                 | service
  #                                            |
  +/street/households/h1/settlements           |
  $SYS/#                                       |
  spBv1.0/g/NCMD/n                             | node
  spBv1.0/g/#                                  | node
  spBv1.0/+/NDATA/n                            |
  spBv1.0/STATE/host                           |
  shellies/em-1/#                              | em
  shellies/+/emeter/0/total                    |
  $share/g/microgrids/#                        |
`;

describe('devices', () => {
  test.each(lines(PUBLISH))('publish to %s: %s', (topic, allowed) => {
    expect(devices((one) => mayPublish(one, topic))).toBe(allowed);
  });

  test.each(lines(SUBSCRIBE))('subscribe to %s: %s', (filter, allowed) => {
    expect(devices((one) => maySubscribe(one, filter))).toBe(allowed);
  });
});

function devices(allows: (principal: Principal) => boolean): string {
  return Object.keys(DEVICES)
    .filter((name) => allows(DEVICES[name]!))
    .sort()
    .join(' ');
}

function lines(table: string): string[][] {
  return table
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split('|').map((cell) => cell.trim()));
}
