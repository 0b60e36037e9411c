import { clearSkyWPerM2, cloudTransmission, type Climate, type Weather } from './weather.js';

/** A roof with modules: power from the sun on it, the clouds over it and the heat in it. */
export interface SolarArray {
  /** Power under 1000 W/m² at 25 °C. */
  peakW: number;
  /** Minutes by which the roof sees the sun later: an eastern roof is ahead, a western one behind. */
  facesLaterMinutes: number;
}

/** What the array yields, W; 0 while the sun is down. */
export function solarW(
  array: SolarArray,
  climate: Climate,
  weather: Weather,
  epochMillis: number,
): number {
  if (weather.irradianceWPerM2 <= 0) return 0;
  const onRoof =
    clearSkyWPerM2(climate.latitudeDegrees, epochMillis - array.facesLaterMinutes * 60_000) *
    cloudTransmission(weather.cloudPermille / 1000);
  // A cell is 0.03 K warmer than the air per W/m² and loses 0.4 % per K; wires and inverter lose 12 %.
  const cellAbove25 = weather.temperatureDeciC / 10 + 0.03 * onRoof - 25;
  const watts = array.peakW * (onRoof / 1000) * (1 - 0.004 * cellAbove25) * 0.88;
  return Math.min(Math.max(Math.round(watts), 0), array.peakW);
}
