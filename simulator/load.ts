import { randomFrom } from './random.js';
import type { Weather } from './weather.js';

/**
 * What a household uses, car and battery aside: what is always on, people's mornings and evenings,
 * a few appliances a day, and a heat pump where there is one. A function of seed and instant alone.
 */
export interface LoadProfile {
  /** Names the household's own random streams. */
  stream: string;
  /** Always on. */
  baseW: number;
  /** How much the people in the house add at the height of the evening. */
  activityW: number;
  /** Electric power of the heat pump on a day at the freezing point; 0 without one. */
  heatPumpW: number;
}

/** The average power used around the instant, W. */
export function loadW(profile: LoadProfile, weather: Weather, epochMillis: number): number {
  const jitter = 0.85 + 0.3 * randomFrom(`${profile.stream}/jitter/${epochMillis}`).uniform();
  const people = profile.activityW * activity(profile, epochMillis) * jitter;
  return Math.round(
    profile.baseW + people + appliancesW(profile, epochMillis) + heatingW(profile, weather),
  );
}

const DAY_MILLIS = 86_400_000;

/** From 0 to about 1: a morning, a noon and an evening, moved by up to 45 minutes from day to day. */
function activity(profile: LoadProfile, epochMillis: number): number {
  const day = Math.floor(epochMillis / DAY_MILLIS);
  const shift = randomFrom(`${profile.stream}/rhythm/${day}`).between(-45, 45) / 60;
  const hour = (epochMillis % DAY_MILLIS) / 3_600_000 - shift;
  const bump = (centre: number, width: number) => Math.exp(-(((hour - centre) / width) ** 2));
  return 0.6 * bump(7.5, 1.2) + 0.35 * bump(12.5, 1.5) + bump(19.5, 2);
}

const APPLIANCES = [
  { watts: 2000, minutes: 50 }, // washing machine
  { watts: 1800, minutes: 70 }, // dishwasher
  { watts: 2200, minutes: 40 }, // oven
  { watts: 1500, minutes: 20 }, // vacuum cleaner, iron
] as const;

function appliancesW(profile: LoadProfile, epochMillis: number): number {
  const day = Math.floor(epochMillis / DAY_MILLIS);
  const minute = Math.floor((epochMillis % DAY_MILLIS) / 60_000);
  const random = randomFrom(`${profile.stream}/appliances/${day}`);
  let watts = 0;
  for (let use = random.between(1, 4); use > 0; use -= 1) {
    const appliance = APPLIANCES[random.between(0, APPLIANCES.length - 1)]!;
    const startsAtMinute = random.between(7 * 60, 21 * 60);
    if (minute >= startsAtMinute && minute < startsAtMinute + appliance.minutes) {
      watts += appliance.watts;
    }
  }
  return watts;
}

/** In proportion to how far it is below 16 °C outside. */
function heatingW(profile: LoadProfile, weather: Weather): number {
  return (profile.heatPumpW * Math.max(160 - weather.temperatureDeciC, 0)) / 160;
}
