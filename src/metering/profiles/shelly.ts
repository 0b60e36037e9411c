import { parseText } from '../exact-json.js';
import type { Register, Rejection } from '../reading.js';
import {
  ARRIVAL,
  Desk,
  merged,
  parsePayload,
  session,
  unixMillis,
  withRejections,
} from './desk.js';
import type { Found, MeasuredAt } from './desk.js';
import { openFields } from './fields.js';
import type { Unit } from './mapping.js';
import { Parts } from './parts.js';
import type { Gathering } from './parts.js';
import { nothing, refused } from './session.js';
import type { Profile, ProfileContext, ProfileMessage, ProfileOutput } from './session.js';
import { bareValue, energyOf, isRejection, memberAt, powerOf, valueAt } from './value.js';
import type { Value } from './value.js';

/**
 * Shelly. Gen1: one bare value per topic and phase (`emeter/0/total`, Wh), relays in watt-minutes.
 * Gen2 and later: components as JSON (`status/emdata:0`), and notifications on `events/rpc` that hold
 * only what changed, with the time. A component or phase is a channel: the first one counts, of a
 * three-phase meter the sum of all three, or what the mapping's `channels` say.
 */
export const shelly: Profile = {
  name: 'shelly',
  filters: (topic) => [
    `${topic}/emeter/+/+`,
    `${topic}/relay/+/+`,
    `${topic}/status/+`,
    `${topic}/events/rpc`,
  ],
  open(context) {
    if (context.mapping.sources) return openFields(context, { fields: [] });
    const channels = new Channels(context);
    return session((message) => {
      const { topic, payload } = message;
      const gen1 = GEN1_TOPIC.exec(topic);
      if (gen1) return channels.gen1(gen1[1]!, Number(gen1[2]), gen1[3]!, message);
      const component = COMPONENT_TOPIC.exec(topic);
      const isRpc = topic.endsWith('/events/rpc');
      const isStatus = /(^|\/)status$/.test(topic);
      if (!component && !isRpc && !isStatus) return nothing();
      if (payload.length === 0) return refused('device_gone', 'an empty payload');
      const json = parsePayload(payload);
      if (component) return channels.component(component[1]!, json, ARRIVAL, undefined, message);
      return isRpc ? channels.notification(json, message) : channels.status(json, message);
    });
  },
};

const GEN1_TOPIC = /(emeter|relay)\/(\d{1,2})\/(total|total_returned|energy|power)$/;
const COMPONENT_TOPIC = /\/status\/([a-z0-9]+:\d{1,2})$/;

/** Where the members of a component stand. */
interface Component {
  power?: readonly string[];
  import?: readonly string[];
  export?: readonly string[];
}

/** All of these count in Wh. */
const COMPONENTS: Readonly<Record<string, Component>> = {
  em: { power: ['total_act_power'] },
  emdata: { import: ['total_act'], export: ['total_act_ret'] },
  em1: { power: ['act_power'] },
  em1data: { import: ['total_act_energy'], export: ['total_act_ret_energy'] },
  switch: { power: ['apower'], import: ['aenergy', 'total'], export: ['ret_aenergy', 'total'] },
  pm1: { power: ['apower'], import: ['aenergy', 'total'], export: ['ret_aenergy', 'total'] },
};

class Channels {
  private readonly desk: Desk;
  private readonly sums = new Map<string, Parts>();
  private readonly powers = new Map<number, number>();

  constructor(private readonly context: ProfileContext) {
    this.desk = new Desk(context);
  }

  gen1(kind: string, channel: number, name: string, message: ProfileMessage): ProfileOutput {
    // An emeter's `energy` counts from the last message on; a relay has no other register.
    if (kind === 'emeter' && name === 'energy') return nothing();
    const channels = this.chosen(/shellyem3/i.test(message.topic));
    if (!channels.includes(channel)) return nothing();
    const value = bareValue(parseText(message.payload));
    const found: Found = {};
    const rejections: Rejection[] = [];
    const unit: Unit = kind === 'relay' ? 'Wmin' : 'Wh';
    if (name === 'power') put(found, 'powerW', powerOf(value, name, { unit: 'W' }), rejections);
    else {
      const key = name === 'total_returned' ? 'exportMicroWh' : 'importMicroWh';
      put(found, key, energyOf(value, name, { unit }), rejections);
    }
    return this.output(channels, channel, found, rejections, ARRIVAL, 'round', message);
  }

  /** What Gen1 answers at /status, and some gateways pass on. */
  status(json: unknown, message: ProfileMessage): ProfileOutput {
    const emeters = memberAt(json, ['emeters']);
    const meters = memberAt(json, ['meters']);
    const [list, unit] = Array.isArray(emeters)
      ? [emeters, 'Wh' as const]
      : [meters, 'Wmin' as const];
    if (!Array.isArray(list)) return refused('not_understood', 'neither emeters nor meters');
    const channels = this.chosen(list.length === 3);
    const unixtime = valueAt(json, ['unixtime']);
    // 0 before the clock was ever set.
    const isSet = unixtime.kind === 'number' && unixtime.text !== '0';
    const at: MeasuredAt = isSet
      ? { kind: 'instant', millis: unixMillis(unixtime.text, 3) }
      : ARRIVAL;
    return merged(
      channels.map((channel) => {
        const meter: unknown = list[channel];
        if (meter === undefined) return refused('incomplete', `there is no channel ${channel}`);
        if (memberAt(meter, ['is_valid']) === false) {
          return refused('no_value', `channel ${channel} says that its values are not valid`);
        }
        const [found, rejections] = read(
          { power: ['power'], import: ['total'], export: ['total_returned'] },
          meter,
          unit,
        );
        return this.output(channels, channel, found, rejections, at, 'round', message);
      }),
    );
  }

  /** Only what changed is there: a key that is absent says nothing. */
  notification(json: unknown, message: ProfileMessage): ProfileOutput {
    const method = memberAt(json, ['method']);
    const params = memberAt(json, ['params']);
    if (method !== 'NotifyStatus' && method !== 'NotifyFullStatus') return nothing();
    if (typeof params !== 'object' || params === null) {
      return refused('not_understood', 'a notification without params');
    }
    const ts = valueAt(params, ['ts']);
    const at: MeasuredAt =
      ts.kind === 'number' ? { kind: 'instant', millis: unixMillis(ts.text, 3) } : ARRIVAL;
    const src = memberAt(json, ['src']);
    const meter = typeof src === 'string' ? src.slice(0, 128) : undefined;
    return merged(
      Object.entries(params)
        .filter(([key]) => /^[a-z0-9]+:\d{1,2}$/.test(key))
        .map(([key, value]) => this.component(key, value, at, meter, message)),
    );
  }

  component(
    key: string,
    json: unknown,
    at: MeasuredAt,
    meter: string | undefined,
    message: ProfileMessage,
  ): ProfileOutput {
    const [kind, channel] = key.split(':') as [string, string];
    const component = Object.hasOwn(COMPONENTS, kind) ? COMPONENTS[kind] : undefined;
    const channels = this.chosen(false);
    if (!component || !channels.includes(Number(channel))) return nothing();
    const errors = memberAt(json, ['errors']);
    if (Array.isArray(errors) && errors.includes('power_meter_failure')) {
      return refused('no_value', `${key} says that its power meter has failed`);
    }
    const [found, rejections] = read(component, json, 'Wh');
    if (meter !== undefined) found.meter = meter;
    return this.output(channels, Number(channel), found, rejections, at, 'latest', message);
  }

  private chosen(isThreePhase: boolean): readonly number[] {
    return this.context.mapping.channels ?? (isThreePhase ? [0, 1, 2] : [0]);
  }

  /** One channel is the meter; of several, each is shown by itself and their sum counts. */
  private output(
    channels: readonly number[],
    channel: number,
    found: Found,
    rejections: readonly Rejection[],
    at: MeasuredAt,
    gathering: Gathering,
    message: ProfileMessage,
  ): ProfileOutput {
    const { meter, ...values } = found;
    if (Object.keys(values).length === 0) return { readings: [], rejections: [...rejections] };
    if (channels.length === 1) {
      return withRejections(this.desk.readings(found, at, message), rejections);
    }
    const note = `channel ${channel} of ${channels.join(', ')}`;
    const part = this.desk.readings({ ...found, quality: 'partial', note }, at, message);
    // What is only replayed is no part of a sum either.
    if (message.retained) return withRejections(part, rejections);
    const whole = this.summed(channels, channel, found, gathering, message.receivedAtMillis);
    const outputs = [part];
    if (Object.keys(whole).length > 0) {
      outputs.push(this.desk.readings({ ...whole, meter }, at, message));
    }
    return withRejections(merged(outputs), rejections);
  }

  private summed(
    channels: readonly number[],
    channel: number,
    found: Found,
    gathering: Gathering,
    receivedAtMillis: number,
  ): Found {
    const whole: Found = {};
    for (const key of ['importMicroWh', 'exportMicroWh'] as const) {
      const value = found[key];
      if (value === undefined || value === null) continue;
      const parts = this.sums.get(key) ?? new Parts(channels.map(String), gathering);
      this.sums.set(key, parts);
      const sum = parts.add(String(channel), value, receivedAtMillis);
      if (sum !== null) whole[key] = sum;
    }
    if (found.powerW !== undefined && found.powerW !== null) {
      this.powers.set(channel, found.powerW);
      if (channels.every((one) => this.powers.has(one))) {
        whole.powerW = channels.reduce((sum, one) => sum + this.powers.get(one)!, 0);
      }
    }
    return whole;
  }
}

function read(component: Component, json: unknown, unit: Unit): [Found, Rejection[]] {
  const found: Found = {};
  const rejections: Rejection[] = [];
  for (const register of ['import', 'export'] as const) {
    const path = component[register];
    if (!path) continue;
    put(found, KEYS[register], energyOf(valueIn(json, path), path.join('.'), { unit }), rejections);
  }
  const { power } = component;
  if (power) {
    put(found, 'powerW', powerOf(valueIn(json, power), power.join('.'), { unit: 'W' }), rejections);
  }
  return [found, rejections];
}

function valueIn(json: unknown, path: readonly string[]): Value {
  return valueAt(json, path);
}

function put<K extends 'importMicroWh' | 'exportMicroWh' | 'powerW'>(
  found: Found,
  key: K,
  outcome: NonNullable<Found[K]> | null | Rejection,
  rejections: Rejection[],
): void {
  if (outcome === null) return;
  if (isRejection(outcome as bigint | number | null | Rejection)) {
    rejections.push(outcome as Rejection);
  } else found[key] = outcome as NonNullable<Found[K]>;
}

const KEYS: Readonly<Record<Register, 'importMicroWh' | 'exportMicroWh'>> = {
  import: 'importMicroWh',
  export: 'exportMicroWh',
};
