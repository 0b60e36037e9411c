import { crc16 } from '../../../src/metering/profiles/p1-telegram.js';
import { checkScenarios, RECEIVED_AT as T } from './decoding.js';

/**
 * What meters and reading heads send, message by message in one session, and what it means. Times
 * without one in the payload are the arrival's, T.
 */

checkScenarios([
  {
    profile: 'native',
    tells: 'a reading of both registers and a power',
    messages: [
      [
        'microgrids/elm/meters/m1/readings',
        '{"readAt":"2026-06-01T12:00:00+02:00","importWh":2687.3687,"exportWh":0,"powerW":-12.6}',
        '2026-06-01T10:00:00Z import 2687.3687 Wh m1',
        '2026-06-01T10:00:00Z export 0 Wh m1',
        '2026-06-01T10:00:00Z export -13 W m1',
      ],
      ['microgrids/elm/meters/m1/readings', '[]', 'malformed'],
    ],
  },
  {
    profile: 'tasmota',
    tells: 'missing, null, zero and a clock that was never set are four things',
    timeZone: 'Europe/Berlin',
    messages: [
      [
        'tele/head/SENSOR',
        '{"Time":"2026-01-10T10:00:00","SML":{"Total_in":2687.3687}}',
        '2026-01-10T09:00:00Z import 2687368.7 Wh',
      ],
      [
        'tele/head/SENSOR',
        '{"Time":"2026-01-10T10:05:00","SML":{"Total_in":0,"Total_out":null}}',
        '2026-01-10T09:05:00Z import 0 Wh',
        'no_value',
      ],
      ['tele/head/SENSOR', '{"Time":"1970-01-01T00:00:09","SML":{"Total_in":1}}', 'bad_time'],
      ['tele/head/SENSOR', '{"Time":"2026-02-30T00:00:00","SML":{"Total_in":1}}', 'bad_time'],
      ['tele/head/SENSOR', '{"Time":null,"SML":{"Total_in":1}}', 'bad_time'],
      ['tele/head/SENSOR', '{"Time":"2026-01-10T10:10:00","SML":{"Total_in":-1}}', 'malformed'],
      ['tele/head/SENSOR', '{"Time":"2026-01-10T10:10:00","SML":{"Zaehler":1}}', 'not_understood'],
      ['tele/head/SENSOR', '', 'device_gone'],
      ['tele/head/STATE', '{"Time":"2026-01-10T10:10:00","Uptime":"1T"}'],
      ['tele/head/LWT', 'Online'],
    ],
  },
  {
    profile: 'tasmota',
    tells: 'an offset in the time, levels in another order, and plugs with several channels',
    timeZone: 'Europe/Berlin',
    messages: [
      [
        'plug/tele/SENSOR',
        '{"Time":"2026-01-10T10:00:00+02:00","ENERGY":{"TotalStartTime":"2025-01-01T00:00:00","Total":[1.5,0,2],"Power":[490,0,0]}}',
        '2026-01-10T08:00:00Z import 3500 Wh',
        '2026-01-10T08:00:00Z import 490 W',
      ],
    ],
  },
  {
    profile: 'tasmota',
    tells: 'two heads at one device need a mapping',
    messages: [['tele/x/SENSOR', '{"A":{"Total_in":1},"B":{"Total_in":2}}', 'not_understood']],
  },
  {
    profile: 'tasmota',
    tells: 'mapped fields, also with dots in their names',
    mapping: {
      sources: [
        { path: ['SML', '1.8.0'], register: 'import', unit: 'Wh' },
        { path: 'SML.fed', register: 'export', unit: 'kWh', sign: '-' },
      ],
    },
    messages: [
      [
        'tele/x/SENSOR',
        '{"Time":"2026-01-10T10:00:00","SML":{"1.8.0":"12.5","fed":-3}}',
        '2026-01-10T10:00:00Z import 12.5 Wh',
        '2026-01-10T10:00:00Z export 3000 Wh',
      ],
      ['tele/x/SENSOR', '{"Time":"2026-01-10T10:05:00","SML":{"other":1}}', 'not_understood'],
    ],
  },
  {
    profile: 'tasmota',
    tells: 'a plug behind which a balcony generates, turned over by the mapping',
    mapping: { invert: true },
    messages: [
      [
        'tele/x/SENSOR',
        '{"Time":"2026-01-10T10:00:00","ENERGY":{"Total":1,"Power":300}}',
        '2026-01-10T10:00:00Z export 1000 Wh',
        '2026-01-10T10:00:00Z export -300 W',
      ],
    ],
  },
  {
    profile: 'shelly',
    tells: 'three phases of a 3EM are one meter once all of them came',
    messages: [
      ['shellies/shellyem3-1/emeter/0/total', '100.1', `${T} import 100.1 Wh partial`],
      ['shellies/shellyem3-1/emeter/1/total', '200.2', `${T} import 200.2 Wh partial`],
      [
        'shellies/shellyem3-1/emeter/2/total',
        '300.3',
        `${T} import 300.3 Wh partial`,
        `${T} import 600.6 Wh`,
      ],
      ['shellies/shellyem3-1/emeter/0/total', '101.1', `${T} import 101.1 Wh partial`],
      ['shellies/shellyem3-1/emeter/0/energy', '12'],
      ['shellies/shellyem3-1/emeter/0/pf', '0.9'],
    ],
  },
  {
    profile: 'shelly',
    tells: 'relays count watt-minutes, and the first clamp of an EM is the meter',
    messages: [
      ['shellies/shelly1pm-1/relay/0/energy', '6472513', `${T} import 107875.216666 Wh`],
      ['shellies/shellyem-1/emeter/1/total', '5'],
      [
        'x/status',
        '{"unixtime":1676110566,"meters":[{"power":5,"total":60}]}',
        '2023-02-11T10:16:06Z import 1 Wh',
        '2023-02-11T10:16:06Z import 5 W',
      ],
      ['x/status', '{"emeters":[{"is_valid":false,"total":0,"total_returned":0}]}', 'no_value'],
      ['x/status', '{"wifi_sta":{}}', 'not_understood'],
    ],
  },
  {
    profile: 'shelly',
    tells: 'notifications are overlays: what is absent says nothing, null is no zero',
    messages: [
      [
        'shelly/events/rpc',
        '{"src":"s1","method":"NotifyFullStatus","params":{"ts":1787950200.25,"em:0":{"total_act_power":5.5},"emdata:0":{"total_act":10.5,"total_act_ret":0}}}',
        '2026-08-28T20:50:00.250Z import 5.5 W s1',
        '2026-08-28T20:50:00.250Z import 10.5 Wh s1',
        '2026-08-28T20:50:00.250Z export 0 Wh s1',
      ],
      [
        'shelly/events/rpc',
        '{"src":"s1","method":"NotifyStatus","params":{"ts":1787950260,"emdata:0":{"total_act":11}}}',
        '2026-08-28T20:51:00Z import 11 Wh s1',
      ],
      [
        'shelly/events/rpc',
        '{"src":"s1","method":"NotifyStatus","params":{"ts":1787950260,"em:0":{"total_act_power":null}}}',
        'no_value',
      ],
      ['shelly/events/rpc', '{"src":"s1","method":"NotifyEvent","params":{"events":[]}}'],
      ['shelly/status/em:0', '{"errors":["power_meter_failure"],"total_act_power":0}', 'no_value'],
      ['shelly/status/em1data:1', '{"total_act_energy":7}'],
    ],
  },
  {
    profile: 'shelly',
    tells: 'chosen channels are summed, each as it last was',
    mapping: { channels: [0, 2] },
    messages: [
      ['x/status/em1data:0', '{"total_act_energy":1}', `${T} import 1 Wh partial`],
      [
        'x/status/em1data:2',
        '{"total_act_energy":2.5}',
        `${T} import 2.5 Wh partial`,
        `${T} import 3.5 Wh`,
      ],
    ],
  },
  {
    profile: 'dsmr-reader',
    tells: 'both tariffs are in it or there is no register',
    messages: [
      [
        'dsmr/json',
        '{"timestamp":"2026-01-01T01:00:00+01:00","electricity_delivered_1":1.001,"electricity_delivered_2":3}',
        '2026-01-01T00:00:00Z import 4001 Wh',
      ],
      [
        'dsmr/json',
        '{"timestamp":"2026-01-01T00:15:00Z","electricity_delivered_1":1,"electricity_returned_1":0,"electricity_returned_2":0}',
        '2026-01-01T00:15:00Z export 0 Wh',
        'incomplete',
      ],
      ['dsmr/json', '{"electricity_delivered_1":1,"electricity_delivered_2":1}', 'bad_time'],
      ['dsmr/json', '{"timestamp":"2026-01-01T00:15:00Z"}', 'not_understood'],
      ['dsmr/json', '{', 'malformed'],
    ],
  },
  {
    profile: 'dsmr-reader',
    tells: 'split topics are one telegram from its timestamp on',
    messages: [
      ['dsmr/reading/electricity_delivered_2', '9'],
      ['dsmr/reading/timestamp', '2026-01-01T00:00:00Z'],
      ['dsmr/reading/electricity_delivered_1', '1.5'],
      ['dsmr/reading/electricity_delivered_2', '2', '2026-01-01T00:00:00Z import 3500 Wh'],
      ['dsmr/reading/timestamp', '2026-01-01T00:00:10Z'],
      ['dsmr/reading/electricity_delivered_2', '2.5'],
      ['dsmr/reading/timestamp', '2026-01-01T00:00:20Z'],
      ['dsmr/reading/electricity_delivered_1', '1.6'],
      ['dsmr/reading/electricity_currently_delivered', '0.3', '2026-01-01T00:00:20Z import 300 W'],
    ],
  },
  {
    profile: 'p1',
    tells: 'a Luxembourg meter has totals; tariffs beside them are not added again',
    timeZone: 'Europe/Luxembourg',
    messages: [
      [
        'p1',
        telegram([
          '0-0:1.0.0(260701120000S)',
          '1-0:1.8.0(000012.500*kWh)',
          '1-0:1.8.1(000012.500*kWh)',
          '1-0:2.8.0(000000.000*kWh)',
        ]),
        '2026-07-01T10:00:00Z import 12500 Wh',
        '2026-07-01T10:00:00Z export 0 Wh',
      ],
    ],
  },
  {
    profile: 'p1',
    tells: 'a Belgian meter with its peaks; a clock that is not set; no check value; another meter',
    mapping: { meter: 'FLU1' },
    messages: [
      [
        'p1',
        telegram([
          '0-0:96.1.1(464C5531)',
          '0-0:1.0.0(251026023000W)',
          '1-0:1.8.1(000001.001*kWh)',
          '1-0:1.8.2(000002.002*kWh)',
          '1-0:1.4.0(02.351*kW)',
          '1-0:1.6.0(251020183000S)(04.329*kW)',
          '1-0:1.7.0(00.100*kW)',
          '1-0:2.7.0(00.350*kW)',
        ]),
        '2025-10-26T01:30:00Z import 3003 Wh FLU1',
        '2025-10-26T01:30:00Z export -250 W FLU1',
      ],
      ['p1', telegram(['0-0:1.0.0(632525252525S)', '1-0:1.8.0(1*kWh)']), 'bad_time'],
      ['p1', telegram(['0-0:96.1.1(464C5532)', '1-0:1.8.0(1*kWh)']), 'wrong_meter'],
      ['p1', '/KMP5 X\r\n\r\n1-0:1.8.1(1*kWh)\r\n!\r\n', 'corrupt'],
      ['p1', telegram(['1-0:1.8.0(1*m3)']), 'unit_unknown'],
      ['p1', telegram(['0-1:24.2.1(1*m3)']), 'not_understood'],
    ],
  },
  {
    profile: 'p1',
    tells: 'line by line, from the middle of one telegram on',
    messages: [
      ['tele/b/RESULT', line('1-0:1.8.1(000001.000*kWh)'), 'incomplete'],
      ['tele/b/RESULT', line('!0000')],
      ...telegram(['1-0:1.8.1(000001.000*kWh)', '1-0:1.8.2(000000.500*kWh)'])
        .split('\r\n')
        .slice(0, -2)
        .map((one): [string, string] => ['tele/b/RESULT', line(one)]),
      [
        'tele/b/RESULT',
        line(
          telegram(['1-0:1.8.1(000001.000*kWh)', '1-0:1.8.2(000000.500*kWh)'])
            .split('\r\n')
            .at(-2)!,
        ),
        `${T} import 1500 Wh`,
      ],
    ],
  },
  {
    profile: 'ocmf',
    tells: 'without a key nothing is believed',
    messages: [['any', 'OCMF|{}|{"SD":"00"}', 'bad_signature']],
  },
]);

function line(text: string): string {
  return JSON.stringify({ SerialReceived: `${text}\r` });
}

function telegram(lines: string[]): string {
  const body = ['/FLU5\\253770234_A', '', ...lines, '!'].join('\r\n');
  return `${body}${crc16(Buffer.from(body)).toString(16).toUpperCase().padStart(4, '0')}\r\n`;
}
