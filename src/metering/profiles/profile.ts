import { native } from './native.js';
import { nothing } from './session.js';
import type { Profile, ProfileName } from './session.js';

export { PROFILE_NAMES } from './session.js';
export type {
  Profile,
  ProfileContext,
  ProfileMessage,
  ProfileName,
  ProfileOutput,
  ProfilePublication,
  ProfileReading,
  ProfileSession,
  ReadingQuality,
  SignedCounter,
} from './session.js';

/** The kinds of devices that are understood. A new one is a file beside these and a line here. */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  native,
  tasmota: silent('tasmota'),
  shelly: silent('shelly'),
  p1: silent('p1'),
  'dsmr-reader': silent('dsmr-reader'),
  sparkplug: silent('sparkplug'),
  'home-assistant': silent('home-assistant'),
  zigbee2mqtt: silent('zigbee2mqtt'),
  victron: silent('victron'),
  openems: silent('openems'),
  evcc: silent('evcc'),
  glow: silent('glow'),
  esphome: silent('esphome'),
  ocmf: silent('ocmf'),
};

/** A kind whose payloads are not read yet. */
function silent(name: ProfileName): Profile {
  return { name, filters: (topic) => [`${topic}/#`], open: () => ({ take: nothing }) };
}
