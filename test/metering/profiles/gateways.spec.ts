import { expect, it } from '@jest/globals';
import { checkScenarios, open, RECEIVED_AT as T } from './decoding.js';

/**
 * What gateways and smart homes say of meters behind them, message by message in one session. Times
 * without one in the payload are the arrival's, T.
 */

checkScenarios([
  {
    profile: 'home-assistant',
    tells: 'a value waits for its unit; tariffs are summed; what is unknown is no zero',
    mapping: {
      sources: [
        { topic: 'sensor/t1/state', register: 'import' },
        { topic: 'sensor/t2/state', register: 'import' },
      ],
    },
    messages: [
      ['ha/sensor/t1/state', '"5.5"', 'unit_unknown'],
      ['ha/sensor/t1/unit_of_measurement', '"kWh"'],
      ['ha/sensor/t2/unit_of_measurement', '"Wh"'],
      ['ha/sensor/t1/state', '"5.5"'],
      ['ha/sensor/t2/state', '"unavailable"', 'no_value'],
      ['ha/sensor/t2/state', '"0"', `${T} import 5500 Wh`],
      ['ha/sensor/t2/last_updated', '"2017-10-01T23:20:30.920969+00:00"'],
      ['ha/sensor/lamp/state', '"on"'],
    ],
  },
  {
    profile: 'home-assistant',
    tells: 'discovery says unit and place of a value, the mapping its register',
    mapping: { sources: [{ topic: 'zigbee2mqtt/plug', register: 'import' }] },
    messages: [
      [
        'homeassistant/sensor/0x1/energy/config',
        '{"device_class":"energy","~":"zigbee2mqtt","state_topic":"~/plug","unit_of_measurement":"kWh","value_template":"{{ value_json.energy }}"}',
      ],
      ['zigbee2mqtt/plug', '{"energy":1.05,"power":102}', `${T} import 1050 Wh`],
      ['zigbee2mqtt/plug', '{"power":102}', 'not_understood'],
      ['homeassistant/sensor/0x2/energy/config', '{"state_topic":7', 'malformed'],
    ],
  },
  {
    profile: 'home-assistant',
    tells: 'nothing guesses which entity is import',
    messages: [['ha/sensor/grid_import/state', '"1"', 'not_understood']],
  },
  {
    profile: 'zigbee2mqtt',
    tells: 'when it was last seen, if that is on; other messages of the bridge are not readings',
    messages: [
      [
        'zigbee2mqtt/a',
        '{"energy":0,"last_seen":"2026-06-01T12:00:00+02:00"}',
        '2026-06-01T10:00:00Z import 0 Wh',
      ],
      [
        'zigbee2mqtt/a',
        '{"energy":1,"last_seen":1780308000000}',
        '2026-06-01T10:00:00Z import 1000 Wh',
      ],
      ['zigbee2mqtt/a', '{"energy":null,"state":"ON"}', 'no_value'],
      ['zigbee2mqtt/a', '{"state":"ON"}'],
      ['zigbee2mqtt/a/availability', '{"state":"online"}'],
      ['zigbee2mqtt/bridge/state', '{"energy":1}'],
      ['zigbee2mqtt/a', '', 'device_gone'],
      ['zigbee2mqtt/a', '{"energy":"a lot"}', 'malformed'],
    ],
  },
  {
    profile: 'victron',
    tells: 'the grid counts, the inverter does not unless it is named; empty means gone',
    messages: [
      ['N/p/grid/30/Ac/Energy/Forward', '{"value":1.5}', `${T} import 1500 Wh grid/30`],
      ['N/p/grid/30/Ac/Energy/Reverse', '{"value":0}', `${T} export 0 Wh grid/30`],
      ['N/p/grid/30/Ac/Energy/Forward', '{"value":null}', 'no_value'],
      ['N/p/grid/30/Ac/Energy/Forward', '', 'device_gone'],
      [
        'N/p/pvinverter/20/Ac/Energy/Forward',
        '{"value":2}',
        `${T} export 2000 Wh partial pvinverter/20`,
      ],
      ['N/p/pvinverter/20/Ac/Power', '{"value":936}', `${T} export 936 W partial pvinverter/20`],
      ['N/p/system/0/Serial', '{"value":"x"}'],
    ],
  },
  {
    profile: 'victron',
    tells: 'an inverter as the meter',
    mapping: { meter: 'pvinverter/20' },
    messages: [
      ['N/p/grid/30/Ac/Energy/Forward', '{"value":1.5}'],
      ['N/p/pvinverter/20/Ac/Energy/Forward', '{"value":2}', `${T} export 2000 Wh pvinverter/20`],
    ],
  },
  {
    profile: 'openems',
    tells: 'what comes long after the last update is old',
    messages: [
      ['edge/e0/channel/_sum/GridBuyActiveEnergy', '1234', `${T} import 1234 Wh`],
      ['edge/e0/channel/_sum/GridSellActiveEnergy', 'null', 'no_value'],
      ['edge/e0/channel/lastUpdate', '"2026-06-01T09:59:00Z"'],
      ['edge/e0/channel/_sum/GridActivePower', '-2500', `${T} export -2500 W`],
      ['edge/e0/channel/lastUpdate', '1711611234567'],
      ['edge/e0/channel/_sum/GridBuyActiveEnergy', '1235', 'stale'],
      ['edge/e0/channel/lastUpdate', 'soon', 'bad_time'],
      ['edge/e0/channel/_meta/Version', '"2024"'],
    ],
  },
  {
    profile: 'evcc',
    tells: 'each topic with its own unit and sign',
    messages: [
      ['evcc/site/grid/energy', '12.5', `${T} import 12500 Wh site/grid`],
      ['evcc/site/battery/power', '500', `${T} export -500 W partial site/battery`],
      ['evcc/site/pv/1/power', '700', `${T} export 700 W partial site/pv/1`],
      ['evcc/loadpoints/1/chargeTotalImport', '7000', `${T} import 7000 Wh partial loadpoints/1`],
      ['evcc/site/grid/energy', 'nil', 'no_value'],
      ['evcc/site/siteTitle', 'Home'],
    ],
  },
  {
    profile: 'glow',
    tells: 'units come with the values; one that is not known is no energy',
    messages: [
      [
        'glow/x/SENSOR/electricitymeter',
        '{"electricitymeter":{"timestamp":"2026-06-01T10:00:00Z","energy":{"import":{"cumulative":1.25,"units":"MWh","mpan":"12"},"export":{"cumulative":null,"units":"kWh"}}}}',
        '2026-06-01T10:00:00Z import 1250000 Wh',
        'no_value',
      ],
      [
        'glow/x/SENSOR/electricitymeter',
        '{"electricitymeter":{"energy":{"import":{"cumulative":1,"units":"therm"}}}}',
        'unit_unknown',
      ],
      ['glow/x/SENSOR/gasmeter', '{"gasmeter":{}}'],
      ['glow/x/SENSOR/electricitymeter', '{}', 'not_understood'],
      ['glow/x/SENSOR/electricitymeter', '', 'device_gone'],
    ],
  },
  {
    profile: 'esphome',
    tells: 'two tariffs are one register, in either spelling',
    messages: [
      ['s/sensor/energy_delivered_tariff1/state', '1.001'],
      ['s/sensor/energy_delivered_tariff2/state', '2', `${T} import 3001 Wh`],
      [
        's/sensor/energy_delivered_tariff1/state',
        '1.002',
        '2026-06-01T10:00:05.001Z import 3002 Wh',
      ],
      ['s/sensor/power_delivered/state', '0.244', `${T} import 244 W`],
      ['s/sensor/power_returned/state', '0.1', `${T} export -100 W`],
      ['s/sensor/energy_returned_tariff1/state', 'nan', 'no_value'],
      ['s/sensor/energy_consumed_tariff_1/state', '1'],
      ['s/sensor/wifi/state', '-60'],
    ],
  },
  {
    profile: 'evcc',
    tells: 'lines of values; two topics that fit one source are two meters',
    mapping: {
      sources: [{ topic: 'rlm/+', column: 1, register: 'import', unit: 'kWh', factor: '1e-10' }],
      time: { column: 0, format: 'unix-ms' },
    },
    messages: [
      ['rlm/a', '1780308000000,528535857000,9', '2026-06-01T10:00:00Z import 52853.5857 Wh'],
      ['rlm/b', '1780308000000,528535857000', 'wrong_meter'],
      ['rlm/a', '1780308000000', 'not_understood'],
      ['rlm/a', 'never,1', 'bad_time'],
    ],
  },
]);

it('a retained part is in no sum', () => {
  const { hear } = open('esphome');
  expect(hear('s/sensor/energy_delivered_tariff1/state', '1', { retained: true })).toEqual([
    'retained',
  ]);
  expect(hear('s/sensor/energy_delivered_tariff2/state', '2')).toEqual([]);
  expect(hear('s/sensor/energy_delivered_tariff1/state', '3')).toEqual([`${T} import 5000 Wh`]);
});
