import { mappingText, type MeterProfile } from '../parties/meter-profile.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { PastDevice } from './device-payload.js';
import type { Row } from './finding.js';

/** Which device spoke for which meter, told again from enrolments and operators' changes. */

type Device = Pick<MeterProfile, 'profile' | 'topic' | 'mapping'>;

/** As records tell it: a native one has neither topic nor mapping. */
export type DeviceFacts = JsonObject & {
  readonly meter: string;
  readonly profile?: string;
} & Partial<Omit<Device, 'profile'>>;

export class PastDevices {
  /** Of each meter in order; the last one is its present one, null one of the native format. */
  private readonly devices = new Map<string, (Device | null)[]>();

  set({ meter, profile, topic, mapping }: DeviceFacts): void {
    const device = profile === 'native' ? null : ({ profile, topic, mapping } as Device);
    this.devices.set(meter, [...(this.devices.get(meter) ?? []), device]);
  }

  /** Those of a format of their own. */
  of(meter: string, timeZone: string): PastDevice[] {
    const devices = this.devices.get(meter) ?? [];
    return devices.flatMap((device) => (device ? { ...device, timeZone } : []));
  }

  rows(): Row[] {
    return [...this.devices].flatMap(([id, devices]) => {
      const device = devices.at(-1);
      if (!device) return [];
      const { profile, topic, mapping } = device;
      return { meter_id: id, profile, topic, mapping: mappingText(mapping) };
    });
  }
}
