import { randomFrom } from '../simulator/random.js';
import { share, type SharingInput } from '../src/market/sharing.js';
import { largestRemainder } from '../src/units/integer.js';
import { compare } from './measure.js';
import { progress, type Limit, type Table } from './report.js';

/**
 * One slot of 100,000 homes shared by each key, against the bare division of the pool by need: largest
 * remainder in exact integers, without keys, ids, own use, suppliers or pairs.
 */

const SEED = '1';
const HOMES = 100_000;
const MOST_RATIO = 5;

export function measureSharing(): { tables: Table[]; limits: Limit[]; notes: string[] } {
  const table: Table = {
    title: `Sharing among ${HOMES.toLocaleString('en-US')} homes, processor time`,
    rows: [],
  };
  const limits: Limit[] = [];
  const { supply, demand } = slot();
  const pool = supply.reduce((sum, { quantity }) => sum + quantity, 0);
  const needs = demand.map(({ quantity }) => quantity);
  for (const key of ['static', 'dynamic', 'hybrid', 'cascade', 'equal'] as const) {
    progress(`${HOMES} homes, ${key}`);
    const { oursMillis, peerMillis, ratio } = compare(
      () => share({ supply, demand, key }),
      () => largestRemainder(pool, needs),
      { millis: 2_000, calls: 1 },
    );
    const { volume, pairs } = share({ supply, demand, key });
    table.rows.push({
      key,
      'of the pool %': (100 * volume) / pool,
      pairs: pairs.length,
      ms: oursMillis,
      'bare division ms': peerMillis,
      ratio,
    });
    limits.push({ what: `sharing, ${key}: ratio`, measured: ratio, most: MOST_RATIO });
  }
  return { tables: [table], limits, notes: [] };
}

/** Every third home feeds in, the others need; static parts and groups differ. */
function slot(): Omit<SharingInput, 'key'> {
  const random = randomFrom(`${SEED}/sharing`);
  const homes = Array.from({ length: HOMES }, (_, home) => ({
    id: `home-${String(home).padStart(6, '0')}`,
    quantity: random.between(0, 1_500),
    key: random.between(1, 9),
  }));
  return {
    supply: homes.filter((_, home) => home % 3 === 0),
    demand: homes.filter((_, home) => home % 3 !== 0),
  };
}
