import { resolve } from 'node:path';
import { expect, it } from '@jest/globals';
import { InvalidSettings, loadSettings } from '../src/config.js';
import { SIMULATED } from './support/settings.js';

it('an empty environment starts everything embedded, on the loopback', () => {
  expect(loadSettings({})).toMatchObject({
    databaseUrl: undefined,
    mqttUrl: undefined,
    httpHost: '127.0.0.1',
    httpPort: 3000,
    mqttHost: '127.0.0.1',
    mqttPort: 1883,
    dataDir: resolve('data'),
    marketClock: 'system',
    allowedOrigins: [],
    maxClockAheadSeconds: 300,
    tokenMinutes: 15,
    refreshDays: 30,
  });
});

it('settings are taken from the environment; an empty one counts as absent', () => {
  expect(
    loadSettings({
      DATABASE_URL: 'postgres://u:p@db:5432/n',
      MQTT_URL: 'mqtts://broker.example:8883',
      MQTT_USERNAME: 'service',
      HTTP_PORT: ' 8080 ',
      MQTT_PORT: '',
      DATA_DIR: '/var/lib/neighborwatt/',
      MARKET_CLOCK: 'simulated',
      ALLOWED_ORIGINS: 'https://a.example, http://localhost:5173',
    }),
  ).toMatchObject({
    databaseUrl: 'postgres://u:p@db:5432/n',
    mqttUrl: 'mqtts://broker.example:8883',
    mqttUsername: 'service',
    httpPort: 8080,
    mqttPort: 1883,
    dataDir: '/var/lib/neighborwatt',
    marketClock: 'simulated',
    allowedOrigins: ['https://a.example', 'http://localhost:5173'],
  });
});

it('passwords cost less only where nobody lives', () => {
  expect(loadSettings({}).passwordCostLog2).toBe(15);
  expect(loadSettings({ PASSWORD_COST_LOG2: '17' }).passwordCostLog2).toBe(17);
  expect(loadSettings(SIMULATED).passwordCostLog2).toBe(4);
  expect(() => loadSettings({ PASSWORD_COST_LOG2: '14' })).toThrow(
    'PASSWORD_COST_LOG2 may be below 15 only with MARKET_CLOCK=simulated',
  );
});

it('every bad setting is named, in one line', () => {
  const load = (): unknown =>
    loadSettings({
      DATABASE_URL: 'mysql://db',
      HTTP_PORT: '70000',
      MARKET_CLOCK: 'fast',
      ALLOWED_ORIGINS: 'a.example',
    });
  expect(load).toThrow(InvalidSettings);
  expect(load).toThrow(
    'Settings cannot be used: DATABASE_URL must be an address like postgres://user:secret@host:5432/database; ' +
      'HTTP_PORT must be a whole number from 0 to 65535; MARKET_CLOCK must be one of system, simulated; ' +
      'ALLOWED_ORIGINS must be origins separated by commas, like https://grid.example, not a.example.',
  );
});

it('a bad secret is named, not shown', () => {
  const load = (): unknown => loadSettings({ METRICS_TOKEN: 'hush', MQTT_PASSWORD: 'hush' });
  expect(load).toThrow(/METRICS_TOKEN must have at least 16 characters/);
  expect(load).not.toThrow(/hush/);
});

it.each([
  ['HTTP_PORT', '3000.5'],
  ['HTTP_PORT', '-1'],
  ['HTTP_HOST', 'a b'],
  ['MQTT_URL', 'localhost'],
  ['MQTT_CLIENT_ID', 'a b'],
  ['LOG_ORIGIN', 'a+b'],
  ['LOG_LEVEL', 'loud'],
])('%s=%s is refused', (name, value) => {
  expect(() => loadSettings({ [name]: value })).toThrow(`Settings cannot be used: ${name} must`);
});
