import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { check } from './check-scenario.js';
import { readScenario } from './scenario.js';

const FOLDER = fileURLToPath(new URL('../scenarios/', import.meta.url));
const SCENARIOS = readdirSync(FOLDER)
  .sort()
  .map((name) => readScenario(`${FOLDER}${name}`));

describe('a day on the street', () => {
  test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))('%s', (_, scenario) =>
    expect(check(scenario)).toEqual([]),
  );

  test('every scenario says in words what happens, and expects something of it', () => {
    for (const { name, title, expected } of SCENARIOS) {
      expect([name, title.length > 20, expected.length > 0]).toEqual([name, true, true]);
    }
  });
});
