import { describe, expect, test } from '@jest/globals';
import { enrolmentFaults } from '../../src/parties/enrolment.js';
import type { Enrolled } from '../../src/parties/enrolment.js';
import { parseMemberCsv } from '../../src/parties/member-csv.js';

/** What an import says about a file, line by line. */

const EMPTY_STREET: Enrolled = {
  microgridId: 'street',
  startsAt: '2026-06-01T00:00:00Z',
  slotMinutes: 15,
  now: '2026-06-01T12:07:00Z',
  parties: new Set(['h9', 'm9']),
  households: new Map([
    ['h9', { activeFrom: '2026-06-01T00:00:00Z', activeUntil: null, grid: true }],
  ]),
  aliases: new Set(['House nine']),
  gateways: new Set(['gw1']),
  topics: new Map([['shellies/em-9', new Set(['m9'])]]),
};

function faultsOf(text: string, gateways: string[] = []): string[] {
  const csv = parseMemberCsv(text, gateways);
  const all = [
    ...csv.faults,
    ...enrolmentFaults(csv.enrolment, EMPTY_STREET).flatMap((fault) => csv.placeOf(fault) ?? []),
  ];
  return all.map(({ line, column, detail }) => `${line} ${column}: ${detail}`);
}

describe('a file that fits', () => {
  test('becomes members with their meters, in order', () => {
    const text = [
      '\u{feff}Household,alias,meter,role,usable_wh,feeder,import_limit_w,gateway',
      'h1,"Rose, corner",m1,grid,,F1,11000,',
      'h1,,m2,storage,9000,,,gw1',
      '',
      'h2,,m3,grid,,,,',
    ].join('\r\n');
    const { enrolment, faults } = parseMemberCsv(text, ['gw2']);
    expect(faults).toEqual([]);
    expect(enrolment.gateways).toEqual([{ gateway: 'gw2' }]);
    expect(enrolment.members).toMatchObject([
      {
        household: 'h1',
        alias: 'Rose, corner',
        feeder: 'F1',
        importLimitW: 11_000,
        meters: [
          { meter: 'm1', role: 'grid', usableWh: null, gateway: null },
          { meter: 'm2', role: 'storage', usableWh: 9_000, gateway: 'gw1' },
        ],
      },
      { household: 'h2', meters: [{ meter: 'm3' }] },
    ]);
    expect(faultsOf(text, ['gw2'])).toEqual([]);
  });

  test('adds meters to a household that is there already', () => {
    expect(faultsOf('household,meter,role\nh9,m10,generation\n')).toEqual([]);
  });
});

describe('a file that does not fit', () => {
  test.each([
    ['no header', 'h1,m1,grid\n', ['1 null: The first line must name the columns']],
    ['an unknown column', 'household,colour\nh1,red\n', ['1 null: Unknown column colour']],
    ['a stray comma', 'household,meter\nh1,m1,grid\n', ['2 null: 3 cells where the header has 2']],
    ['an open quote', 'household,alias\nh1,"Rose\n', ['null: Quote Not Closed']],
    ['a bad id', 'household,meter,role\nh 1,m1,grid\n', ['2 household: must be 1 to 64 letters']],
    ['a bad role', 'household,meter,role\nh1,m1,pv\n', ['2 role: must be grid, generation']],
    [
      'a number with a unit',
      'household,meter,role,import_limit_w\nh1,m1,grid,11 kW\n',
      ['2 import_limit_w: "11 kW" must be a whole number'],
    ],
    [
      'a role without a meter',
      'household,role\nh1,grid\n',
      ['2 role: belongs to a meter; name the meter too'],
    ],
    [
      'a battery without its size, and a size without a battery',
      'household,meter,role,usable_wh\nh1,m1,grid,5\nh1,m2,storage,\n',
      ['2 usable_wh: m1 is no storage meter', '3 usable_wh: m2 measures a battery; give'],
    ],
    [
      'no meter at the grid',
      'household,meter,role\nh1,m1,generation\n',
      ['2 meter: h1 has meters but none with the role grid'],
    ],
    [
      'a grid meter on a line that cannot be read: only that line is named',
      'household,meter,role\nh1,m1,gird\nh1,m2,generation\n',
      ['2 role: must be grid, generation or storage'],
    ],
    [
      'an id twice',
      'household,meter,role\nh1,m1,grid\nh2,m1,grid\n',
      ['3 meter: m1 is taken already'],
    ],
    [
      'an id of somebody else',
      'household,meter,role\nh1,m9,grid\n',
      ['2 meter: m9 is taken already'],
    ],
    [
      'an alias twice',
      'household,alias,meter,role\nh1,House nine,m1,grid\n',
      ['2 alias: "House nine" is the alias of another household'],
    ],
    [
      'an unknown gateway',
      'household,meter,role,gateway\nh1,m1,grid,gw7\n',
      ['2 gateway: gw7 is no gateway of this microgrid'],
    ],
    [
      'a start that is no slot border, one that has passed, one before the microgrid',
      'household,active_from\na,2026-06-01T12:10:00Z\nb,2026-06-01T11:45:00Z\nc,2026-05-01T00:00:00Z\n',
      [
        '2 active_from: 2026-06-01T12:10:00Z is no slot border',
        '3 active_from: 2026-06-01T11:45:00Z has passed; the earliest is 2026-06-01T12:00:00Z',
        '4 active_from: 2026-05-01T00:00:00Z is before the microgrid starts',
      ],
    ],
    [
      'two lines of a household that differ',
      'household,feeder,meter,role\nh1,F1,m1,grid\nh1,F2,m2,generation\n',
      ['3 feeder: differs from line 2; say it once for h1'],
    ],
    [
      'a household that is there already, with another alias',
      'household,alias,meter,role\nh9,New,m10,generation\n',
      ['2 alias: h9 is enrolled already; leave alias out'],
    ],
  ])('%s', (_, text, expected) => {
    const faults = faultsOf(text);
    expect(faults).toHaveLength(expected.length);
    expected.forEach((start, index) => expect(faults[index]).toContain(start));
  });
});
