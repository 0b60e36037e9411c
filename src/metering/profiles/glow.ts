import { ENERGY_UNITS, POWER_UNITS } from './mapping.js';
import type { Unit } from './mapping.js';
import { ARRIVAL, Desk, measuredAt, parsePayload, session, withRejections } from './desk.js';
import { openFields } from './fields.js';
import { nothing, refused } from './session.js';
import type { Profile } from './session.js';
import { energyOf, isRejection, memberAt, powerOf, valueAt } from './value.js';

/**
 * Glow in-home displays of British SMETS2 meters: `glow/<mac>/SENSOR/electricitymeter`, JSON with its
 * units and a UTC time. It also names the supply point (MPAN), which tells a person's home and is
 * never passed on.
 */
export const glow: Profile = {
  name: 'glow',
  filters: (topic) => [`${topic}/SENSOR/electricitymeter`],
  open(context) {
    if (context.mapping.sources) return openFields(context, { fields: [] });
    const desk = new Desk(context);
    return session((message) => {
      if (!message.topic.endsWith('/electricitymeter')) return nothing();
      if (message.payload.length === 0) {
        return refused('device_gone', 'an empty payload: the display is gone');
      }
      const meter = memberAt(parsePayload(message.payload), ['electricitymeter']);
      const outcomes = {
        importMicroWh: energy(meter, 'import'),
        exportMicroWh: energy(meter, 'export'),
        powerW: powerOf(valueAt(meter, ['power', 'value']), 'power.value', {
          unit: unitAt(meter, ['power', 'units'], POWER_UNITS) ?? 'kW',
        }),
      };
      const rejections = Object.values(outcomes).filter(isRejection);
      const { importMicroWh, exportMicroWh, powerW } = outcomes;
      const found = {
        importMicroWh: isRejection(importMicroWh) ? null : importMicroWh,
        exportMicroWh: isRejection(exportMicroWh) ? null : exportMicroWh,
        powerW: isRejection(powerW) ? null : powerW,
      };
      if (Object.values(found).every((value) => value === null)) {
        if (rejections.length > 0) return { readings: [], rejections };
        return refused('not_understood', 'no electricitymeter.energy in the payload');
      }
      const timestamp = valueAt(meter, ['timestamp']);
      const at =
        timestamp.kind === 'missing' ? ARRIVAL : measuredAt(timestamp, 'rfc3339', 'timestamp');
      return withRejections(desk.readings(found, at, message), rejections);
    });
  },
};

function energy(meter: unknown, register: 'import' | 'export'): ReturnType<typeof energyOf> {
  const value = valueAt(meter, ['energy', register, 'cumulative']);
  const unit = unitAt(meter, ['energy', register, 'units'], ENERGY_UNITS);
  if (unit === undefined && value.kind === 'number') {
    return { reason: 'unit_unknown', detail: `energy.${register} has no unit that is known` };
  }
  return energyOf(value, `energy.${register}.cumulative`, { unit: unit ?? 'kWh' });
}

function unitAt(meter: unknown, path: readonly string[], units: readonly Unit[]): Unit | undefined {
  const text = memberAt(meter, path);
  return units.find((unit) => unit === text);
}
