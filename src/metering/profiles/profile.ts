import type { ProfileName } from '../../parties/meter-profile.js';
import { dsmrReader } from './dsmr-reader.js';
import { esphome } from './esphome.js';
import { evcc } from './evcc.js';
import { glow } from './glow.js';
import { homeAssistant } from './home-assistant.js';
import { native } from './native.js';
import { ocmf } from './ocmf.js';
import { openems } from './openems.js';
import { p1 } from './p1.js';
import type { Profile } from './session.js';
import { shelly } from './shelly.js';
import { sparkplug } from './sparkplug.js';
import { tasmota } from './tasmota.js';
import { victron } from './victron.js';
import { zigbee2mqtt } from './zigbee2mqtt.js';

export { PROFILE_NAMES } from '../../parties/meter-profile.js';
export type { ProfileName } from '../../parties/meter-profile.js';
export type {
  Profile,
  ProfileContext,
  ProfileMessage,
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
  tasmota,
  shelly,
  p1,
  'dsmr-reader': dsmrReader,
  sparkplug,
  'home-assistant': homeAssistant,
  zigbee2mqtt,
  victron,
  openems,
  evcc,
  glow,
  esphome,
  ocmf,
};
