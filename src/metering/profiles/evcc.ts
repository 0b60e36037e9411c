import { openFields } from './fields.js';
import type { Field } from './fields.js';
import type { Profile } from './session.js';

/**
 * evcc: one bare value per topic. The sign of power differs per topic: the grid's is positive when
 * drawn, a battery's when it discharges.
 */
export const evcc: Profile = {
  name: 'evcc',
  filters: (topic) => [`${topic}/site/#`, `${topic}/loadpoints/#`],
  open: (context) =>
    openFields(context, { fields: FIELDS, counts: (device) => device === 'site/grid' }),
};

const FIELDS: readonly Field[] = [
  { topic: 'site/grid/energy', register: 'import', unit: 'kWh', deviceLevels: 2 },
  { topic: 'site/grid/power', register: 'power', unit: 'W', deviceLevels: 2 },
  { topic: 'site/pv/+/energy', register: 'export', unit: 'kWh', deviceLevels: 3 },
  { topic: 'site/pv/+/power', register: 'power', unit: 'W', deviceLevels: 3, generates: true },
  { topic: 'site/battery/power', register: 'power', unit: 'W', sign: '-', deviceLevels: 2 },
  { topic: 'loadpoints/+/chargeTotalImport', register: 'import', unit: 'Wh', deviceLevels: 2 },
  { topic: 'loadpoints/+/chargePower', register: 'power', unit: 'W', deviceLevels: 2 },
];
