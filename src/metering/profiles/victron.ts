import { parsePayload, session } from './desk.js';
import { endsLike, openFields } from './fields.js';
import type { Field } from './fields.js';
import { nothing, refused } from './session.js';
import type { Profile } from './session.js';
import { memberAt } from './value.js';

/**
 * Victron GX: `N/<portal>/<service>/<instance>/<path>`, one value per topic as `{"value": 936}`. Null
 * is unknown, an empty payload a device that is gone. Silent unless somebody publishes
 * `R/<portal>/keepalive` at least every 60 s.
 */
export const victron: Profile = {
  name: 'victron',
  filters: (topic) => [`${topic}/#`],
  open(context) {
    const fields = openFields(context, {
      fields: FIELDS,
      counts: (device) => device.startsWith('grid/'),
    });
    return session((message) => {
      const isKnown = FIELDS.some(({ topic }) => endsLike(message.topic, topic));
      if (isKnown || context.mapping.sources || !SERVICE.test(message.topic)) {
        return fields.take(message);
      }
      // Of its other values only that they are gone is worth telling: phases fall silent first.
      const { payload } = message;
      if (payload.length === 0)
        return refused('device_gone', 'an empty payload: the device is gone');
      const isNull = memberAt(parsePayload(payload), path) === null;
      return isNull ? refused('no_value', 'a value is null, which is not zero') : nothing();
    });
  },
};

const SERVICE = /(^|\/)(grid|pvinverter|battery)\/\d+\//;
const path = ['value'];
const deviceLevels = 2;
const generates = true;

const FIELDS: readonly Field[] = [
  energy('grid/+/Ac/Energy/Forward', 'import'),
  energy('grid/+/Ac/Energy/Reverse', 'export'),
  { topic: 'grid/+/Ac/Power', path, register: 'power', unit: 'W', deviceLevels },
  energy('pvinverter/+/Ac/Energy/Forward', 'export'),
  { topic: 'pvinverter/+/Ac/Power', path, register: 'power', unit: 'W', deviceLevels, generates },
  energy('battery/+/History/ChargedEnergy', 'import'),
  energy('battery/+/History/DischargedEnergy', 'export'),
  { topic: 'battery/+/Dc/0/Power', path, register: 'power', unit: 'W', deviceLevels },
];

function energy(topic: string, register: 'import' | 'export'): Field {
  return { topic, path, register, unit: 'kWh', deviceLevels };
}
