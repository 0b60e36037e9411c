import { parseReadingsTopic } from '../../broker/topics.js';
import type { DecodedReading } from '../reading.js';
import { decodeMessage } from '../signed-reading.js';
import { refused } from './session.js';
import type { Profile, ProfileMessage, ProfileOutput, ProfileReading } from './session.js';

/**
 * The payload of the contract, `{"readAt", "importWh", "exportWh", "powerW"?}` or an array of them, bare
 * or signed. Whether a signature is good only the service knows, which has the meter's key.
 */
export const native: Profile = {
  name: 'native',
  filters: (topic) => [topic],
  open: () => ({ take }),
};

function take({ topic, payload, retained }: ProfileMessage): ProfileOutput {
  if (retained) return refused('retained', 'readings must not be published as retained');
  const { readings, rejections, signed } = decodeMessage(payload);
  const meter = parseReadingsTopic(topic)?.meterId;
  return { readings: readings.flatMap((one) => valuesOf(one, meter, signed !== null)), rejections };
}

/** Each register by itself, then the power. */
function valuesOf(
  reading: DecodedReading,
  meter: string | undefined,
  isSigned: boolean,
): ProfileReading[] {
  const { readAt, readAtMillis, importMicroWh, exportMicroWh, powerW } = reading;
  const common = {
    ...(meter === undefined ? {} : { meter }),
    readAt,
    readAtMillis,
    quality: 'measured' as const,
    ...(isSigned ? { note: 'signed; the signature is not checked here' } : {}),
  };
  const registers = [
    { register: 'import' as const, microWh: importMicroWh },
    { register: 'export' as const, microWh: exportMicroWh },
  ].filter(({ microWh }) => microWh !== null);
  const values: ProfileReading[] = registers.map((one) => ({ ...common, ...one, powerW: null }));
  if (powerW !== null) {
    const register = powerW < 0 ? 'export' : 'import';
    values.push({ ...common, register, microWh: null, powerW });
  }
  return values;
}
