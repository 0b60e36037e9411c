import { expect, it } from '@jest/globals';
import { Findings } from '../../src/verify/finding.js';
import { ManifestChain } from '../../src/verify/manifest-chain.js';

/** Two slots and the day they make: [before, minted, retired, after] of one asset, in sequence. */
type Supply = [before: number, minted: number, retired: number, after: number];

const SLOT_1: Supply = [0, 900, 300, 600];
const SLOT_2: Supply = [600, 500, 700, 400];
const DAY: Supply = [0, 1_400, 1_000, 400];

const CASES: [name: string, slots: Supply[], day: Supply, previous: number, found: string[]][] = [
  ['a whole day', [SLOT_1, SLOT_2], DAY, 0, []],
  [
    'a slot that does not add up',
    [[0, 900, 300, 601], SLOT_2],
    DAY,
    0,
    ['10 PRODUCTION.after', '20 PRODUCTION.before'],
  ],
  [
    'a slot that begins elsewhere',
    [SLOT_1, [500, 600, 700, 400]],
    DAY,
    0,
    ['20 PRODUCTION.before'],
  ],
  ['a slot left out', [SLOT_2], DAY, 0, ['10 PRODUCTION.before']],
  ['a day that ends elsewhere', [SLOT_1, SLOT_2], [0, 1_400, 900, 500], 0, ['30 PRODUCTION.after']],
  [
    'a day that does not add up',
    [SLOT_1, SLOT_2],
    [0, 1_300, 1_000, 400],
    0,
    ['30 PRODUCTION.after'],
  ],
  ['a day of which the one before is missing', [SLOT_1, SLOT_2], DAY, 7, ['30 previous']],
];

it.each(CASES)('a chain of manifests: %s', (_, slots, day, previous, found) => {
  const findings = new Findings(20);
  const chain = new ManifestChain(findings);
  slots.forEach((supply, at) => chain.take(manifest('slot-closed', 10 * (at + 1), supply, 0)));
  chain.take(manifest('manifest', 30, day, previous));
  chain.end();
  expect(findings.all.map(({ row, field }) => `${row} ${field}`)).toEqual(
    found.map((text) => {
      const [record, field] = text.split(' ');
      return `record ${record} facts.${field === 'previous' ? field : `supply.${field}`}`;
    }),
  );
});

function manifest(
  kind: string,
  sequence: number,
  [before, minted, retired, after]: Supply,
  previous: number,
) {
  const supply = { before, minted, retired, after };
  const values = new Map<string, number | typeof supply>([
    ['facts.previous', previous],
    ['facts.supply.PRODUCTION', supply],
  ]);
  return { sequence, kind, values };
}
