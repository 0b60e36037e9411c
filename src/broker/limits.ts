/** What the embedded broker allows each device and each address, as values; time is an argument. */

/** Why the broker refused, cut off or held back somebody. */
export type BrokerRefusal =
  | 'bad_log_in'
  | 'bad_certificate'
  | 'access_ended'
  | 'too_many_connections'
  | 'too_many_of_address'
  | 'too_many_of_device'
  | 'too_many_waiting'
  | 'too_many_subscriptions'
  | 'too_many_messages'
  | 'too_large'
  | 'malformed_packet'
  | 'unsupported_qos'
  | 'no_connect'
  | 'silent'
  | 'not_reading'
  | 'forbidden_topic'
  | 'forbidden_filter';

/** Which of them it was that aedes ended a connection for, by what it says. */
export function refusalOf(message: string): BrokerRefusal | undefined {
  return REASONS.find(([text]) => message.startsWith(text))?.[1];
}

/** How aedes begins to say why. */
const REASONS: readonly (readonly [string, BrokerRefusal])[] = [
  ['connect did not arrive in time', 'no_connect'],
  ['keep alive timeout', 'silent'],
  ['drain timeout', 'not_reading'],
  ['Invalid protocol', 'malformed_packet'],
  ['Client queue limit reached', 'malformed_packet'],
  ['topic has too many levels', 'forbidden_topic'],
];

/** How often something happened since the start, by reason. */
export class Tally {
  private readonly counts = new Map<BrokerRefusal, number>();

  add(reason: BrokerRefusal): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
  }

  all(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.counts);
  }
}

/**
 * A token bucket for each key: `perSecond` on average, and at once as many as in `burstSeconds`.
 * Forgets the one that was used least lately once there are too many: it would be full again soon.
 */
export class Buckets {
  private readonly buckets = new Map<string, { tokens: number; atMillis: number }>();
  private readonly burst: number;

  constructor(
    private readonly perSecond: number,
    burstSeconds: number,
    private readonly capacity: number,
  ) {
    this.burst = perSecond * burstSeconds;
  }

  /** Takes a token. @returns how many milliseconds later it is there; 0 for at once */
  take(key: string, nowMillis: number): number {
    const known = this.buckets.get(key);
    const elapsedMillis = known ? Math.max(nowMillis - known.atMillis, 0) : Infinity;
    const filled = known ? known.tokens + (elapsedMillis * this.perSecond) / 1_000 : this.burst;
    const tokens = Math.min(filled, this.burst) - 1;
    this.buckets.delete(key);
    if (this.buckets.size >= this.capacity) this.forgetOldest();
    this.buckets.set(key, { tokens, atMillis: nowMillis });
    return tokens >= 0 ? 0 : Math.ceil((-tokens * 1_000) / this.perSecond);
  }

  private forgetOldest(): void {
    const [oldest] = this.buckets.keys();
    if (oldest !== undefined) this.buckets.delete(oldest);
  }
}

/** Connections by address: how many there are, and how many of them have not logged in. */
export class Addresses {
  private readonly counts = new Map<string, { all: number; waiting: number }>();

  constructor(
    private readonly most: number,
    private readonly mostWaiting: number,
  ) {}

  /** Null when there is room: then it is counted, as waiting. */
  enter(address: string): 'too_many_of_address' | 'too_many_waiting' | null {
    const known = this.counts.get(address) ?? { all: 0, waiting: 0 };
    if (known.all >= this.most) return 'too_many_of_address';
    if (known.waiting >= this.mostWaiting) return 'too_many_waiting';
    this.counts.set(address, { all: known.all + 1, waiting: known.waiting + 1 });
    return null;
  }

  admit(address: string): void {
    const known = this.counts.get(address);
    if (known) known.waiting -= 1;
  }

  leave(address: string, isWaiting: boolean): void {
    const known = this.counts.get(address);
    if (!known) return;
    known.all -= 1;
    if (isWaiting) known.waiting -= 1;
    if (known.all === 0) this.counts.delete(address);
  }
}
