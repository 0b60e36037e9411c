import { parseInstant } from '../../units/slot.js';
import { parseText } from '../exact-json.js';
import { ARRIVAL, session, unixMillis } from './desk.js';
import { endsLike, openFields } from './fields.js';
import type { Field } from './fields.js';
import { isDecimal } from './decimal.js';
import { nothing, refused } from './session.js';
import type { Profile } from './session.js';

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
      timeOf: () => ARRIVAL,
    });
    return session((message) => {
      if (endsLike(message.topic, 'channel/lastUpdate')) {
        const text = parseText(message.payload).trim().replaceAll('"', '');
        // Milliseconds in the documentation, an instant in the code.
        lastUpdateMillis = isDecimal(text) ? unixMillis(text, 0) : parseInstant(text);
        return nothing();
      }
      const ageMillis = lastUpdateMillis === null ? 0 : message.receivedAtMillis - lastUpdateMillis;
      if (ageMillis > STALE_MILLIS && !message.retained) {
        return refused('stale', `the edge was last updated ${Math.round(ageMillis / 1_000)} s ago`);
      }
      return fields.take(message);
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
