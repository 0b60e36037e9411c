import { parseInstant } from '../../units/slot.js';
import { parseText } from '../exact-json.js';
import { ARRIVAL, measuredAt, session } from './desk.js';
import type { MeasuredAt } from './desk.js';
import { endsLike, openFields } from './fields.js';
import type { Field } from './fields.js';
import { p1 } from './p1.js';
import { nothing } from './session.js';
import type { Profile } from './session.js';
import { valueAt } from './value.js';

/**
 * DSMR-reader: `dsmr/json` with everything in one, or `dsmr/reading/<field>` one by one, or telegrams
 * at `dsmr/raw`. *Delivered* is to the customer: import. Registers are the sums of two tariffs. Keys
 * can be renamed by the user; then a mapping names them.
 */
export const dsmrReader: Profile = {
  name: 'dsmr-reader',
  filters: (topic) => [`${topic}/json`, `${topic}/reading/+`, `${topic}/raw`],
  open(context) {
    const json = openFields(context, {
      fields: fieldsAt('json', (key) => [key]),
      timeOf: (_, payload) => timeIn(payload()),
      isStrict: true,
    });
    const raw = p1.open(context);
    let telegramAt: MeasuredAt = ARRIVAL;
    const open = () =>
      openFields(context, {
        fields: fieldsAt('reading', () => undefined),
        gathering: 'round',
        timeOf: () => telegramAt,
      });
    let split = open();
    return session((message) => {
      if (endsLike(message.topic, 'raw')) return raw.take(message);
      if (endsLike(message.topic, 'json')) return json.take(message);
      if (endsLike(message.topic, 'reading/timestamp')) {
        // Stands before the values of its telegram; those of the one before are not waited for.
        const text = parseText(message.payload).trim().replaceAll('"', '');
        telegramAt = { kind: 'instant', millis: parseInstant(text) };
        split = open();
        return nothing();
      }
      return split.take(message);
    });
  },
};

function timeIn(json: unknown): MeasuredAt {
  return measuredAt(valueAt(json, ['timestamp']), 'rfc3339', 'timestamp');
}

function fieldsAt(
  place: 'json' | 'reading',
  pathTo: (key: string) => readonly string[] | undefined,
): Field[] {
  return KEYS.map(({ key, ...rest }) => {
    const path = pathTo(key);
    return path ? { ...rest, topic: place, path } : { ...rest, topic: `${place}/${key}` };
  });
}

const KEYS = [
  { key: 'electricity_delivered_1', register: 'import', unit: 'kWh' },
  { key: 'electricity_delivered_2', register: 'import', unit: 'kWh' },
  { key: 'electricity_returned_1', register: 'export', unit: 'kWh' },
  { key: 'electricity_returned_2', register: 'export', unit: 'kWh' },
  { key: 'electricity_currently_delivered', register: 'power', unit: 'kW' },
  { key: 'electricity_currently_returned', register: 'power', unit: 'kW', sign: '-' },
] as const satisfies readonly (Omit<Field, 'topic' | 'path'> & { key: string })[];
