import { parseText } from '../exact-json.js';
import { ARRIVAL, measuredAt, session } from './desk.js';
import { endsLike, openFields } from './fields.js';
import type { Field } from './fields.js';
import { nothing, Refusal } from './session.js';
import type { Profile } from './session.js';
import { bareValue } from './value.js';

/**
 * OpenEMS Edge: `edge/<id>/channel/<component>/<channel>`, a bare value, retained. What changed is
 * sent at once and everything every five minutes, each time followed by `channel/lastUpdate`, so a
 * value arrives as it is measured; one long after the last update is an old one played back.
 */
export const openems: Profile = {
  name: 'openems',
  filters: (topic) => [`${topic}/channel/#`],
  open(context) {
    let lastUpdateMillis: number | null = null;
    const fields = openFields(context, {
      fields: FIELDS,
      timeOf({ receivedAtMillis }) {
        const ageMillis = receivedAtMillis - (lastUpdateMillis ?? receivedAtMillis);
        if (ageMillis <= STALE_MILLIS) return ARRIVAL;
        const age = Math.round(ageMillis / 1_000);
        throw new Refusal('stale', `the edge was last updated ${age} s ago`);
      },
    });
    return session((message) => {
      if (!endsLike(message.topic, 'channel/lastUpdate')) return fields.take(message);
      const value = bareValue(parseText(message.payload));
      // Milliseconds in the documentation, an instant in the code.
      const at = measuredAt(value, value.kind === 'number' ? 'unix-ms' : 'rfc3339', 'lastUpdate');
      if (at.kind === 'instant') lastUpdateMillis = at.millis;
      return nothing();
    });
  },
};

const FIELDS: readonly Field[] = [
  energy('_sum/GridBuyActiveEnergy', 'import'),
  energy('_sum/GridSellActiveEnergy', 'export'),
  { topic: 'channel/_sum/GridActivePower', register: 'power', unit: 'W' },
];

function energy(channel: string, register: 'import' | 'export'): Field {
  return { topic: `channel/${channel}`, register, unit: 'Wh' };
}

/** Three times the five minutes between two full updates. */
const STALE_MILLIS = 900_000;
