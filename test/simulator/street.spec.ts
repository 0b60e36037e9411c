import { describe, expect, test } from '@jest/globals';
import { clearSkyWPerM2, weatherAt } from '../../simulator/weather.js';
import { stepHousehold } from '../../simulator/household.js';
import { firstState, metersOf, neighborhood } from '../../simulator/neighborhood.js';
import { firstStreet, learn, messagesOf, stepStreet, type Street } from '../../simulator/street.js';

const MORNING = Date.UTC(2026, 5, 1, 10);
const DAY_STEPS = 288;
const BLANK = { toNeighborsWh: 0, toGridWh: 0, fromNeighborsWh: 0, fromGridWh: 0 };

function streetOf(seed: string, households = 20) {
  const homes = neighborhood(seed, households);
  const start = { microgrid: 'street', seed, stepMinutes: 5, at: MORNING };
  return { homes, street: firstStreet(start, homes) };
}

/** A day of messages, as bytes; `hear` may change plans after a step. */
function dayOf(seed: string, hear: (street: Street, step: number) => Street = (street) => street) {
  const { homes, street: first } = streetOf(seed);
  let street = first;
  const lines: string[] = [];
  for (let step = 0; step < DAY_STEPS; step += 1) {
    street = hear(stepStreet(street, homes), step);
    lines.push(...messagesOf(street, homes).map(({ topic, payload }) => `${topic} ${payload}`));
  }
  return lines.join('\n');
}

describe('the simulated street', () => {
  test('the same seed gives the same day, to the byte; another seed another', () => {
    const day = dayOf('1');
    expect(dayOf('1')).toBe(day);
    expect(dayOf('2')).not.toBe(day);
  });

  test('has roofs, batteries and cars of differing size, and differing limits', () => {
    const homes = neighborhood('1', 20);
    const sizes = (values: (number | undefined)[]) => new Set(values.filter((one) => one)).size;
    expect(sizes(homes.map((home) => home.solar?.peakW))).toBeGreaterThan(8);
    expect(sizes(homes.map((home) => home.battery?.usableWh))).toBeGreaterThan(4);
    expect(homes.filter((home) => home.cars.length > 0).length).toBeGreaterThan(4);
    expect(sizes(homes.map((home) => home.sellAboveMicroPerKwh))).toBeGreaterThan(5);
    expect(sizes(homes.map((home) => home.buyBelowMicroPerKwh))).toBeGreaterThan(5);
    const names = homes.flatMap((home) => [
      home.household,
      home.alias,
      ...metersOf(home).map((m) => m.meter),
    ]);
    expect(new Set(names).size).toBe(names.length);
  });

  test('a street of 45 still has a name for everyone', () => {
    expect(new Set(neighborhood('1', 45).map((home) => home.alias)).size).toBe(45);
  });

  test('in every household and step: sun + import + discharge = load + charge + export, in Wh', () => {
    const climate = { seed: '1', latitudeDegrees: 47 };
    for (const home of neighborhood('1', 20)) {
      let state = firstState(home);
      for (let step = 0; step < DAY_STEPS; step += 1) {
        const { state: after, flows } = stepHousehold(
          home,
          state,
          climate,
          MORNING + step * 300_000,
          5,
        );
        for (const wh of Object.values(flows)) {
          expect(Number.isSafeInteger(wh) && wh >= 0).toBe(true);
        }
        expect(flows.generatedWh + flows.importWh + flows.dischargedWh).toBe(
          flows.loadWh + flows.chargedWh + flows.exportWh,
        );
        expect(Math.min(flows.importWh, flows.exportWh)).toBe(0);
        state = after;
      }
    }
  });

  test('registers never fall, whatever the households hear of their settlements', () => {
    const { homes, street: first } = streetOf('7');
    let street = first;
    for (let step = 0; step < DAY_STEPS; step += 1) {
      const before = street;
      street = stepStreet(street, homes);
      for (const [name, { registers, battery }] of Object.entries(street.households)) {
        for (const [register, wh] of Object.entries(before.households[name]!.registers)) {
          expect(registers[register as keyof typeof registers]).toBeGreaterThanOrEqual(wh);
        }
        const usableWh = homes.find((home) => home.household === name)!.battery?.usableWh ?? 0;
        expect(battery.chargeWh).toBeLessThanOrEqual(usableWh);
        const settled = step % 2 === 0 ? { toGridWh: 100 } : { fromNeighborsWh: 50 };
        street = learn(street, name, { ...BLANK, ...settled });
      }
    }
  });

  test('settlements change the day: who sells to the grid charges more', () => {
    const eager = dayOf('1', (street) =>
      Object.keys(street.households).reduce(
        (changed, name) => learn(changed, name, { ...BLANK, toGridWh: 500 }),
        street,
      ),
    );
    const chargedAt = (day: string) =>
      day
        .split('\n')
        .filter(
          (line) => line.includes('-battery/readings') && line.includes('2026-06-01T13:00:00Z'),
        )
        .reduce(
          (total, line) =>
            total + (JSON.parse(line.slice(line.indexOf(' '))) as { importWh: number }).importWh,
          0,
        );
    expect(chargedAt(eager)).toBeGreaterThan(chargedAt(dayOf('1')));
  });

  test('at noon of the first day there is something to trade', () => {
    const { homes, street: first } = streetOf('1');
    let street = first;
    for (let step = 0; step < 3; step += 1) street = stepStreet(street, homes);
    const states = Object.values(street.households);
    expect(states.filter(({ registers }) => registers.exportWh > 50).length).toBeGreaterThan(3);
    expect(states.filter(({ registers }) => registers.importWh > 20).length).toBeGreaterThan(3);
  });

  test('a step from a written-down state continues exactly', () => {
    const { homes, street: first } = streetOf('3');
    let straight = first;
    let restarted = first;
    for (let step = 0; step < 50; step += 1) {
      straight = stepStreet(straight, homes);
      restarted = stepStreet(
        JSON.parse(JSON.stringify(restarted)) as Street,
        neighborhood('3', 20),
      );
    }
    expect(restarted).toEqual(straight);
  });
});

describe('weather', () => {
  test('the sun is highest at noon and away at midnight, and clouds never add to it', () => {
    const climate = { seed: '1', latitudeDegrees: 47 };
    expect(clearSkyWPerM2(47, Date.UTC(2026, 5, 1, 0))).toBe(0);
    const noon = clearSkyWPerM2(47, Date.UTC(2026, 5, 21, 12));
    expect(noon).toBeGreaterThan(900);
    expect(noon).toBeLessThan(1000);
    expect(clearSkyWPerM2(47, Date.UTC(2026, 11, 21, 12))).toBeLessThan(350);
    for (let at = MORNING; at < MORNING + 86_400_000; at += 300_000) {
      const { irradianceWPerM2, cloudPermille } = weatherAt(climate, at);
      expect(irradianceWPerM2).toBeLessThanOrEqual(Math.ceil(clearSkyWPerM2(47, at)));
      expect(cloudPermille).toBeGreaterThanOrEqual(0);
      expect(cloudPermille).toBeLessThanOrEqual(1000);
    }
  });

  test('summer is warmer than winter', () => {
    const average = (month: number) => {
      const days = Array.from({ length: 28 }, (_, day) => Date.UTC(2026, month, day + 1, 12));
      const sum = days.reduce(
        (total, at) => total + weatherAt({ seed: '1', latitudeDegrees: 47 }, at).temperatureDeciC,
        0,
      );
      return sum / days.length;
    };
    expect(average(6)).toBeGreaterThan(average(0) + 120);
  });
});
