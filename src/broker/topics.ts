import { isIdent } from '../units/ids.js';

/** The topics of the native contract, as text and back. */

/** What the service takes in. */
export const READINGS_FILTER = 'microgrids/+/meters/+/readings';

/** @example readingsTopic('street', 'm1') === 'microgrids/street/meters/m1/readings' */
export function readingsTopic(microgridId: string, meterId: string): string {
  return `microgrids/${microgridId}/meters/${meterId}/readings`;
}

/** Where the service publishes what a household was settled. */
export function settlementsTopic(microgridId: string, householdId: string): string {
  return `microgrids/${microgridId}/households/${householdId}/settlements`;
}

/** The microgrid and meter that a readings topic names; undefined when it is none. */
export function parseReadingsTopic(
  topic: string,
): { microgridId: string; meterId: string } | undefined {
  if (!topic.startsWith(ROOT) || !topic.endsWith(READINGS)) return undefined;
  const end = topic.indexOf('/', ROOT.length);
  if (!topic.startsWith(METERS, end)) return undefined;
  const microgridId = topic.slice(ROOT.length, end);
  const meterId = topic.slice(end + METERS.length, -READINGS.length);
  // An id has no slash, so there is no further level.
  return isIdent(microgridId) && isIdent(meterId) ? { microgridId, meterId } : undefined;
}

const ROOT = 'microgrids/';
const METERS = '/meters/';
const READINGS = '/readings';

/** Whether a topic filter with `+` and `#` covers a topic. MQTT 3.1.1, section 4.7. */
export function filterCovers(filter: string, topic: string): boolean {
  // 4.7.2: a filter that starts with a wildcard does not match topics that start with $.
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  const levels = filter.split('/');
  const names = topic.split('/');
  for (const [index, level] of levels.entries()) {
    // 4.7.1.2: # also covers the parent of the level it stands at.
    if (level === '#') return index === levels.length - 1 && names.length >= index;
    if (index >= names.length || (level !== '+' && level !== names[index])) return false;
  }
  return levels.length === names.length;
}
