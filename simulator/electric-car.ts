import { randomFrom } from './random.js';

/** A car that comes home most days and charges what the day's driving took. */
export interface ElectricCar {
  /** Names the car's own random stream. */
  stream: string;
  chargerW: number;
  /** Cars of people at home by day charge around noon, the others from the evening on. */
  habit: 'noon' | 'evening';
}

/** What the car charges with, W: full power from plugging in until the day's energy is back. */
export function carW(car: ElectricCar, epochMillis: number): number {
  const day = Math.floor(epochMillis / DAY_MILLIS);
  // A session that began yesterday evening may run past midnight.
  const charging = [day - 1, day].some((sessionDay) => {
    const session = sessionOf(car, sessionDay);
    return session && epochMillis >= session.fromMillis && epochMillis < session.untilMillis;
  });
  return charging ? car.chargerW : 0;
}

const DAY_MILLIS = 86_400_000;

function sessionOf(
  car: ElectricCar,
  day: number,
): { fromMillis: number; untilMillis: number } | null {
  const random = randomFrom(`${car.stream}/day/${day}`);
  if (random.uniform() < 0.2) return null;
  const drivenWh = random.between(4_000, 14_000);
  const pluggedInMinute =
    car.habit === 'noon' ? random.between(10 * 60, 13 * 60) : random.between(17 * 60, 20 * 60);
  const fromMillis = day * DAY_MILLIS + pluggedInMinute * 60_000;
  const minutes = Math.ceil((drivenWh * 60) / car.chargerW);
  return { fromMillis, untilMillis: fromMillis + minutes * 60_000 };
}
