import { randomFrom } from './random.js';

/**
 * Seeded weather over the street: sun from astronomy and a clear-sky model, clouds and temperature
 * from the seed. Every value is a function of the seed, the latitude and the instant alone, so a
 * restarted simulation sees the same sky. The street lies on the prime meridian: noon is 12:00 UTC.
 */
export interface Weather {
  /** Global irradiance on a horizontal plane under these clouds, W/m². */
  irradianceWPerM2: number;
  /** Clouded part of the sky, 0 to 1000. */
  cloudPermille: number;
  /** Tenths of a degree Celsius. */
  temperatureDeciC: number;
}

export interface Climate {
  seed: string;
  latitudeDegrees: number;
}

/** The weather at an instant, in integers. */
export function weatherAt(climate: Climate, epochMillis: number): Weather {
  const clouds = cloudsAt(climate, epochMillis);
  const sun = clearSkyWPerM2(climate.latitudeDegrees, epochMillis);
  return {
    irradianceWPerM2: Math.round(sun * cloudTransmission(clouds)),
    cloudPermille: Math.round(clouds * 1000),
    temperatureDeciC: temperatureDeciC(climate, epochMillis, clouds),
  };
}

/**
 * Irradiance without clouds, W/m², after Haurwitz (1945): 1098 cos z exp(−0.057 / cos z) for the
 * zenith angle z; 0 while the sun is down.
 */
export function clearSkyWPerM2(latitudeDegrees: number, epochMillis: number): number {
  const cosZenith = cosineOfZenith(latitudeDegrees, epochMillis);
  return cosZenith <= 0 ? 0 : 1098 * cosZenith * Math.exp(-0.057 / cosZenith);
}

/** The part of the clear-sky irradiance left under clouds from 0 to 1, after Kasten and Czeplak (1980). */
export function cloudTransmission(clouds: number): number {
  return 1 - 0.75 * clouds ** 3.4;
}

function cosineOfZenith(latitudeDegrees: number, epochMillis: number): number {
  const latitude = (latitudeDegrees * Math.PI) / 180;
  const declination =
    ((-23.44 * Math.PI) / 180) * Math.cos(2 * Math.PI * yearFraction(epochMillis));
  const hourAngle = ((hourOfDay(epochMillis) - 12) * Math.PI) / 12;
  return (
    Math.sin(latitude) * Math.sin(declination) +
    Math.cos(latitude) * Math.cos(declination) * Math.cos(hourAngle)
  );
}

/** 0 at the winter solstice of the northern hemisphere, 0.5 at the summer solstice. */
function yearFraction(epochMillis: number): number {
  const year = new Date(epochMillis).getUTCFullYear();
  return (epochMillis - Date.UTC(year - 1, 11, 21)) / (365.25 * DAY_MILLIS);
}

/** Clouds from 0 to 1: a kind of day, and drifts over it with a node every 20 minutes. */
function cloudsAt({ seed }: Climate, epochMillis: number): number {
  const day = Math.floor(epochMillis / DAY_MILLIS);
  const kind = randomFrom(`${seed}/clouds/day/${day}`).uniform();
  const base = kind < 0.5 ? 0.15 : kind < 0.8 ? 0.45 : 0.8;
  const position = epochMillis / (20 * 60_000);
  const node = Math.floor(position);
  const before = randomFrom(`${seed}/clouds/node/${node}`).uniform();
  const after = randomFrom(`${seed}/clouds/node/${node + 1}`).uniform();
  const drift = before + (after - before) * (position - node) - 0.5;
  return Math.min(Math.max(base + 0.5 * drift, 0), 1);
}

/** A season, a day with its warmest hour at 15:00, a seeded deviation of the day; clouds flatten it. */
function temperatureDeciC({ seed }: Climate, epochMillis: number, clouds: number): number {
  const day = Math.floor(epochMillis / DAY_MILLIS);
  const season = 10 - 10 * Math.cos(2 * Math.PI * (yearFraction(epochMillis) - 0.08));
  const swing = (1 - 0.5 * clouds) * 5 * Math.cos(((hourOfDay(epochMillis) - 15) * Math.PI) / 12);
  const deviation = randomFrom(`${seed}/temperature/day/${day}`).uniform() * 6 - 3;
  return Math.round((season + swing + deviation) * 10);
}

const DAY_MILLIS = 86_400_000;

function hourOfDay(epochMillis: number): number {
  return (epochMillis % DAY_MILLIS) / 3_600_000;
}
