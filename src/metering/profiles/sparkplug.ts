import type { Rejection } from '../reading.js';
import { ARRIVAL, Desk, merged, session } from './desk.js';
import type { Found, MeasuredAt } from './desk.js';
import { ENERGY_UNITS, POWER_UNITS } from './mapping.js';
import type { Mapping, Unit } from './mapping.js';
import { nothing, refused } from './session.js';
import type { Profile, ProfileContext, ProfileMessage, ProfileOutput } from './session.js';
import { encodeRebirth, openSparkplug } from './sparkplug-message.js';
import { SparkplugNode } from './sparkplug-node.js';
import type { KnownMetric, MessageType, NodeMessage } from './sparkplug-node.js';
import { energyOf, isRejection, pathOf, powerOf } from './value.js';

/**
 * Sparkplug B, as its host application: `spBv1.0/<group>/<type>/<node>[/<device>]`. Nothing is read
 * before a birth; messages out of order wait a little for those before them; then, and after data
 * of what was never born, the node is asked to be born again. The device is the reading's meter.
 */
export const sparkplug: Profile = {
  name: 'sparkplug',
  filters: (topic) => [`${topic}/#`],
  open(context) {
    const nodes = new Map<string, HostedNode>();
    const devices = new Set<string>();
    return session((message) => {
      const address = TOPIC.exec(message.topic);
      if (!address) return nothing();
      if (message.retained) return refused('retained', 'Sparkplug messages are never retained');
      const [, prefix = '', group = '', type = '', node = '', device = ''] = address;
      const key = `${prefix}${group}/${node}`;
      let hosted = nodes.get(key);
      if (!hosted) {
        if (nodes.size >= MOST_NODES) return refused('too_large', `more than ${MOST_NODES} nodes`);
        const commandTopic = `${prefix}spBv1.0/${group}/NCMD/${node}`;
        hosted = new HostedNode(context, commandTopic, devices);
        nodes.set(key, hosted);
      }
      const body = openSparkplug(message.payload);
      return hosted.take({ type: type as MessageType, device, body }, message);
    });
  },
};

const TOPIC =
  /^(.*\/)?spBv1\.0\/([^/]+)\/(NBIRTH|NDATA|NDEATH|DBIRTH|DDATA|DDEATH)\/([^/]+)(?:\/([^/]+))?$/;

/** Names of metrics where the mapping gives none. */
const NAMES: readonly Source[] = [
  { name: 'Energy/Import', register: 'import' },
  { name: 'Energy/Export', register: 'export' },
  { name: 'Power/Active', register: 'power' },
];

interface Source {
  name: string;
  register: 'import' | 'export' | 'power';
  unit?: Unit | undefined;
  factor?: string | undefined;
  sign?: '+' | '-' | undefined;
}

/** A node with the messages that wait for earlier ones, and its requests to be born. */
class HostedNode {
  private readonly node = new SparkplugNode();
  private readonly desk: Desk;
  private readonly sources: readonly Source[];
  private readonly meter: string | undefined;
  private held: { message: NodeMessage; brought: ProfileMessage }[] = [];
  private waitingSinceMillis = 0;
  private askedAtMillis = -Infinity;
  private last = { key: '', output: nothing() };

  constructor(
    context: ProfileContext,
    private readonly commandTopic: string,
    /** With values of a meter, over all nodes. */
    private readonly devices: Set<string>,
  ) {
    this.desk = new Desk(context);
    this.sources = sourcesOf(context.mapping);
    this.meter = context.mapping.meter;
  }

  take(message: NodeMessage, brought: ProfileMessage): ProfileOutput {
    const { type, body } = message;
    if (type === 'NBIRTH') this.held = [];
    const next = this.node.nextSeq;
    const key = JSON.stringify([type, message.device, body.seq, body.timestampMillis]);
    // The same as the last one, come twice: it says the same twice.
    if (key === this.last.key && !NOT_COUNTED.has(type)) return this.last.output;
    const isOutOfOrder = next !== null && !NOT_COUNTED.has(type) && body.seq !== next;
    if (isOutOfOrder) return this.hold(message, brought, next);
    const output = this.read(message, brought);
    if (output.rejections.length === 0) this.last = { key, output };
    return merged([output, ...this.release()]);
  }

  /** Sparkplug 3.0, section 5.3: the Reorder Timeout, measured by what arrives. */
  private hold(message: NodeMessage, brought: ProfileMessage, next: number): ProfileOutput {
    if (this.held.length === 0) this.waitingSinceMillis = brought.receivedAtMillis;
    this.held.push({ message, brought });
    const waitedMillis = brought.receivedAtMillis - this.waitingSinceMillis;
    if (this.held.length < MOST_HELD && waitedMillis < REORDER_MILLIS) return nothing();
    const lost = this.held.length;
    this.held = [];
    this.node.forget();
    const detail = `message ${next} never came; ${lost} behind it are not read`;
    return this.rebirth({ reason: 'out_of_sequence', detail }, brought);
  }

  /** What waited for the message that has come. */
  private release(): ProfileOutput[] {
    const outputs: ProfileOutput[] = [];
    for (;;) {
      const next = this.node.nextSeq;
      const index = this.held.findIndex(({ message }) => message.body.seq === next);
      if (next === null || index < 0) return outputs;
      const [{ message, brought }] = this.held.splice(index, 1) as [(typeof this.held)[number]];
      outputs.push(this.read(message, brought));
    }
  }

  private read(message: NodeMessage, brought: ProfileMessage): ProfileOutput {
    const verdict = this.node.take(message);
    switch (verdict.kind) {
      case 'taken':
        return this.readings(verdict.metrics, message, brought);
      case 'ignored':
        return nothing();
      case 'too_large':
        return refused('too_large', verdict.detail);
      case 'not_born':
      case 'out_of_sequence':
        return this.rebirth({ reason: verdict.kind, detail: verdict.detail }, brought);
    }
  }

  /** Asks at most once a minute; a node needs a while to gather itself. */
  private rebirth(rejection: Rejection, { receivedAtMillis }: ProfileMessage): ProfileOutput {
    const output: ProfileOutput = { readings: [], rejections: [rejection] };
    if (Math.abs(receivedAtMillis - this.askedAtMillis) < ASK_MILLIS) return output;
    this.askedAtMillis = receivedAtMillis;
    return {
      ...output,
      publish: [{ topic: this.commandTopic, payload: encodeRebirth(receivedAtMillis) }],
    };
  }

  /** Every value by itself: a message may hold several moments of one metric. */
  private readings(
    metrics: readonly KnownMetric[],
    { device, body }: NodeMessage,
    brought: ProfileMessage,
  ): ProfileOutput {
    if (this.meter !== undefined && device !== this.meter) return nothing();
    return merged(
      metrics.flatMap((metric) => {
        const source = this.sources.find(({ name }) => name === metric.name);
        if (!source) return [];
        this.devices.add(device);
        const found = foundIn(metric, source);
        if ('reason' in found) return [{ readings: [], rejections: [found] }];
        const millis = metric.timestampMillis ?? body.timestampMillis;
        const at: MeasuredAt = millis === undefined ? ARRIVAL : { kind: 'instant', millis };
        const more: Found = {
          ...found,
          ...(device === '' ? {} : { meter: device }),
          ...(metric.isHistorical ? { note: 'historical' } : {}),
          ...(this.devices.size > 1 ? OF_SEVERAL : {}),
        };
        return [this.desk.readings(more, at, brought)];
      }),
    );
  }
}

function foundIn(metric: KnownMetric, source: Source): Found | Rejection {
  const { name, value } = metric;
  const units: readonly Unit[] = source.register === 'power' ? POWER_UNITS : ENERGY_UNITS;
  const usual = source.register === 'power' ? 'W' : 'Wh';
  const said = metric.unit === undefined ? usual : units.find((one) => one === metric.unit);
  const unit = source.unit ?? said;
  if (unit === undefined) {
    return { reason: 'unit_unknown', detail: `${name} counts in ${metric.unit!.slice(0, 20)}` };
  }
  const scale = { ...source, unit };
  if (source.register === 'power') {
    const power = powerOf(value, name, scale);
    return isRejection(power) ? power : { powerW: power };
  }
  const energy = energyOf(value, name, scale);
  if (isRejection(energy)) return energy;
  return source.register === 'import' ? { importMicroWh: energy } : { exportMicroWh: energy };
}

/** Which of several is the enrolled meter only the mapping can say. */
const OF_SEVERAL = {
  quality: 'partial',
  note: 'one of several devices: name it in the mapping',
} as const;

/** A mapping's path is the metric's name. */
function sourcesOf({ sources }: Mapping): readonly Source[] {
  if (!sources) return NAMES;
  return sources.map(({ path, register, unit, factor, sign }) => ({
    name: typeof path === 'string' ? path : pathOf(path ?? '').join('/'),
    register,
    unit,
    factor,
    sign,
  }));
}

/** Their sequence numbers begin or end a sequence. */
const NOT_COUNTED: ReadonlySet<MessageType> = new Set(['NBIRTH', 'NDEATH']);
const REORDER_MILLIS = 2_000;
const ASK_MILLIS = 60_000;
const MOST_HELD = 16;
const MOST_NODES = 20;
