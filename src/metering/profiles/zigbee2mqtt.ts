import { ARRIVAL, measuredAt } from './desk.js';
import type { MeasuredAt } from './desk.js';
import { openFields } from './fields.js';
import { nothing } from './session.js';
import type { Profile } from './session.js';
import { valueAt } from './value.js';

/**
 * zigbee2mqtt: one JSON object of everything a device said, at `zigbee2mqtt/<friendly name>`. Energy
 * in kWh, resettable by the user; `last_seen` only where it is switched on.
 *
 * A profile that a table can describe looks like this one: copy it for a new device.
 */
export const zigbee2mqtt: Profile = {
  name: 'zigbee2mqtt',
  filters: (topic) => [topic],
  open(context) {
    const session = openFields(context, {
      fields: [
        { topic: '+', path: ['energy'], register: 'import', unit: 'kWh' },
        { topic: '+', path: ['produced_energy'], register: 'export', unit: 'kWh' },
        { topic: '+', path: ['power'], register: 'power', unit: 'W' },
      ],
      timeOf: (_, json) => lastSeen(json()),
    });
    return {
      take: (message) => (NOT_THE_DEVICE.test(message.topic) ? nothing() : session.take(message)),
    };
  },
};

/** ISO 8601, or milliseconds with `last_seen: epoch`. */
function lastSeen(json: unknown): MeasuredAt {
  const value = valueAt(json, ['last_seen']);
  if (value.kind === 'missing' || value.kind === 'null') return ARRIVAL;
  return measuredAt(value, value.kind === 'number' ? 'unix-ms' : 'rfc3339', 'last_seen');
}

const NOT_THE_DEVICE = /\/(availability|set|get)(\/|$)|(^|\/)bridge\//;
