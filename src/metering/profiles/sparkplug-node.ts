import { datatypeOf, valueOf } from './sparkplug-message.js';
import type { Metric, SparkplugMessage } from './sparkplug-message.js';
import type { Value } from './value.js';

/**
 * One edge node as a host application sees it: whether it was born, its sequence of messages, what
 * its births said of names, aliases and units. Sparkplug 3.0, sections 5.4, 6.4 and 8.
 */

export type MessageType = 'NBIRTH' | 'DBIRTH' | 'NDATA' | 'DDATA' | 'NDEATH' | 'DDEATH';

/** A metric with what its birth said of it. */
export interface KnownMetric {
  name: string;
  value: Value;
  unit: string | undefined;
  timestampMillis: number | undefined;
  isHistorical: boolean;
}

export interface NodeMessage {
  type: MessageType;
  device: string;
  body: SparkplugMessage;
}

/**
 * `taken`: its metrics may be read. `ignored`: by the rules it says nothing. Anything else leads to a
 * request to be born again, unless it is too large.
 */
export type NodeVerdict =
  | { kind: 'taken'; metrics: KnownMetric[] }
  | { kind: 'ignored' }
  | { kind: 'not_born'; detail: string }
  | { kind: 'out_of_sequence'; detail: string }
  | { kind: 'too_large'; detail: string };

interface BornMetric {
  name: string;
  datatype: number | undefined;
  unit: string | undefined;
}

/** By alias and by name. */
type Birth = Map<string, BornMetric>;

export class SparkplugNode {
  /** By device, the node itself as ''; empty while it is dead or was never heard to be born. */
  private readonly births = new Map<string, Birth>();
  private seq = -1;
  private bdSeq: string | undefined;

  get isBorn(): boolean {
    return this.births.has('');
  }

  /** The sequence number that must come next; null before a birth. */
  get nextSeq(): number | null {
    return this.isBorn ? (this.seq + 1) % 256 : null;
  }

  take({ type, device, body }: NodeMessage): NodeVerdict {
    if (type === 'NDEATH') return this.death(body);
    if (type === 'NBIRTH') {
      this.births.clear();
      // May start anywhere from 0 to 255.
      this.seq = body.seq ?? 0;
      this.bdSeq = bdSeqOf(body);
      return this.birth('', body);
    }
    if (!this.isBorn) return { kind: 'not_born', detail: 'the node was not heard to be born' };
    if (body.seq !== this.nextSeq) {
      const detail = `message ${body.seq ?? '?'} came where ${this.nextSeq} was due`;
      return { kind: 'out_of_sequence', detail };
    }
    this.seq = body.seq;
    if (type === 'DDEATH') {
      this.births.delete(device);
      return { kind: 'ignored' };
    }
    if (type === 'DBIRTH') return this.birth(device, body);
    return this.data(type === 'NDATA' ? '' : device, body);
  }

  /** Forgets the birth, so that nothing is read before the next one. */
  forget(): void {
    this.births.clear();
  }

  /** Of a will: the one whose bdSeq is that of the birth; any other is of an earlier connection. */
  private death(body: SparkplugMessage): NodeVerdict {
    if (this.bdSeq === undefined || bdSeqOf(body) === this.bdSeq) this.births.clear();
    return { kind: 'ignored' };
  }

  private birth(device: string, { metrics }: SparkplugMessage): NodeVerdict {
    const others = [...this.births].filter(([other]) => other !== device);
    const born = others.reduce((sum, [, { size }]) => sum + size, metrics.length);
    if (others.length >= MOST_DEVICES || born > MOST_METRICS) {
      return { kind: 'too_large', detail: `more than ${MOST_DEVICES} devices or their metrics` };
    }
    const birth: Birth = new Map();
    const known: KnownMetric[] = [];
    for (const metric of metrics) {
      const { name, alias, unit } = metric;
      if (name === undefined) continue;
      const bornMetric = { name, datatype: datatypeOf(metric), unit };
      birth.set(`name ${name}`, bornMetric);
      if (alias !== undefined) birth.set(`alias ${alias}`, bornMetric);
      known.push(knownMetric(metric, bornMetric));
    }
    this.births.set(device, birth);
    return { kind: 'taken', metrics: known };
  }

  private data(device: string, { metrics }: SparkplugMessage): NodeVerdict {
    const birth = this.births.get(device);
    if (!birth) return { kind: 'not_born', detail: `${device} was not heard to be born` };
    const known: KnownMetric[] = [];
    for (const metric of metrics) {
      const key = metric.name === undefined ? `alias ${metric.alias}` : `name ${metric.name}`;
      const born = birth.get(key);
      if (!born) {
        return { kind: 'not_born', detail: `no birth named the metric with the ${key}` };
      }
      known.push(knownMetric(metric, born));
    }
    return { kind: 'taken', metrics: known };
  }
}

/** DATA messages leave the datatype to the birth: 6.4.16. */
function knownMetric(metric: Metric, { name, datatype, unit }: BornMetric): KnownMetric {
  const { timestampMillis, isHistorical } = metric;
  const value = valueOf(metric, datatypeOf(metric) ?? datatype);
  return { name, value, unit: metric.unit ?? unit, timestampMillis, isHistorical };
}

function bdSeqOf({ metrics }: SparkplugMessage): string | undefined {
  const metric = metrics.find(({ name }) => name === 'bdSeq');
  const value = metric && valueOf(metric, datatypeOf(metric));
  return value?.kind === 'number' ? value.text : undefined;
}

const MOST_DEVICES = 500;
const MOST_METRICS = 10_000;
