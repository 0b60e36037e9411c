import { openFields } from './fields.js';
import type { Field } from './fields.js';
import type { Profile } from './session.js';

/**
 * ESPHome with its `dsmr` component, as in a SlimmeLezer: `<prefix>/sensor/<object id>/state`, a bare
 * number. Object ids follow the sensors' names, so both spellings that are in use are read; a meter
 * without tariffs (Luxembourg, Sweden) has one register each way.
 */
export const esphome: Profile = {
  name: 'esphome',
  filters: (topic) => [`${topic}/sensor/+/state`],
  open(context) {
    const spellings = SPELLINGS.map((fields) => openFields(context, { fields }));
    const named = openFields(context, { fields: [] });
    return {
      take(message) {
        if (context.mapping.sources) return named.take(message);
        const index = SPELLINGS.findIndex((fields) =>
          fields.some(({ topic }) => message.topic.endsWith(`/${topic}`)),
        );
        return (spellings[index] ?? named).take(message);
      },
    };
  },
};

/** Each with tariffs that are summed. */
const SPELLINGS: readonly (readonly Field[])[] = [
  [
    energy('energy_delivered_tariff1', 'import'),
    energy('energy_delivered_tariff2', 'import'),
    energy('energy_returned_tariff1', 'export'),
    energy('energy_returned_tariff2', 'export'),
    ...power('power_delivered', 'power_returned'),
  ],
  [
    energy('energy_consumed_tariff_1', 'import'),
    energy('energy_consumed_tariff_2', 'import'),
    energy('energy_produced_tariff_1', 'export'),
    energy('energy_produced_tariff_2', 'export'),
    ...power('power_consumed', 'power_produced'),
  ],
  [energy('energy_delivered_lux', 'import'), energy('energy_returned_lux', 'export')],
];

function energy(id: string, register: 'import' | 'export'): Field {
  return { topic: `sensor/${id}/state`, register, unit: 'kWh' };
}

function power(drawn: string, fed: string): Field[] {
  return [
    { topic: `sensor/${drawn}/state`, register: 'power', unit: 'kW' },
    { topic: `sensor/${fed}/state`, register: 'power', unit: 'kW', sign: '-' },
  ];
}
