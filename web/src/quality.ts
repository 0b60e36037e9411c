/** What figures rest on, in words: how much of their energy was measured and how much was not. */
import { formatShare } from './format.js';

export type Quality = 'measured' | 'interpolated' | 'estimated' | 'missing';

/** What may be told of any sum, in tenths of it; estimated counts what is missing too. */
export interface QualityBounds {
  measuredAtLeastPercent: number;
  estimatedAtMostPercent: number;
}

/** With parts that add up to the figure; qualities that few households have are one part. */
export interface FigureQuality extends QualityBounds {
  parts: { qualities: Quality[]; energyWh: number }[];
}

/** Energy by quality, exactly. */
export type ByQuality = Record<`${Quality}Wh`, number>;

const QUALITIES: readonly Quality[] = ['measured', 'interpolated', 'estimated', 'missing'];

/** What each quality means, for who has never heard of it. */
export const QUALITY_WORDS: Readonly<Record<Quality, string>> = {
  measured: 'read at the very border of the slot',
  interpolated: 'between two readings, whose energy is known',
  estimated: 'not read yet, taken from days alike',
  missing: 'a meter said nothing at all',
};

/**
 * The exact split of a figure, or its bounds where that is all that may be told.
 * @example restsOn(quality) // '96.0 % measured, 4.0 % estimated or missing'
 */
export function restsOn({ parts, ...bounds }: FigureQuality): string {
  if (parts.length === 1) return boundsInWords(bounds);
  const whole = parts.reduce((sum, { energyWh }) => sum + energyWh, 0);
  const shares = parts
    .filter(({ energyWh }) => energyWh > 0)
    .map(({ qualities, energyWh }) => shareInWords(qualities, energyWh, whole));
  return shares.length === 0 ? 'no energy' : shares.join(', ');
}

/** As of runs and awards, of which a regulator is told no more. */
export function boundsInWords(bounds: QualityBounds | null): string {
  if (bounds === null) return 'not told then';
  const { measuredAtLeastPercent, estimatedAtMostPercent } = bounds;
  if (measuredAtLeastPercent === 100) return 'all measured';
  const measured = `at least ${measuredAtLeastPercent} % measured`;
  if (estimatedAtMostPercent === 0) return `${measured}, none estimated`;
  return `${measured}, at most ${estimatedAtMostPercent} % estimated`;
}

/** The household's own, exactly. */
export function splitInWords(byQuality: ByQuality | null): string {
  if (byQuality === null) return 'not told then';
  const parts = QUALITIES.map((quality) => ({
    qualities: [quality],
    energyWh: byQuality[`${quality}Wh`],
  }));
  return restsOn({ parts, measuredAtLeastPercent: 0, estimatedAtMostPercent: 100 });
}

function shareInWords(qualities: readonly Quality[], energyWh: number, whole: number): string {
  const names = [...qualities].sort((a, b) => QUALITIES.indexOf(a) - QUALITIES.indexOf(b));
  const last = names.at(-1)!;
  const said = names.length === 1 ? last : `${names.slice(0, -1).join(', ')} or ${last}`;
  return energyWh === whole ? `all ${said}` : `${formatShare(energyWh, whole)} ${said}`;
}
