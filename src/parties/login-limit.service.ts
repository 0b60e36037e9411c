import { isIPv6 } from 'node:net';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { Problem } from '../units/problem.js';
import { RetryLater } from './retry-later.js';

/** Failures allowed in a quarter of an hour. Successes do not count. */
const PER_USER = 10;
const PER_ADDRESS = 60;
const WINDOW_SECONDS = 900;

// Each verification takes 32 MiB and a thread that file access and name look-up use too.
const AT_ONCE = 2;
const MOST_WAITING = 2_000;

/**
 * Counts failed log-ins per user and per address, and lets only a few be verified at once, so that a
 * burst cannot pass before its first failure is counted.
 */
export class LoginLimit {
  private readonly users = new RateLimiterMemory({ points: PER_USER, duration: WINDOW_SECONDS });
  private readonly addresses = new RateLimiterMemory({
    points: PER_ADDRESS,
    duration: WINDOW_SECONDS,
  });
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /**
   * @param verify whether user and password match
   * @throws RetryLater when the user or the address has failed too often; Problem 401 for this failure
   */
  async attempt(user: string, address: string, verify: () => Promise<boolean>): Promise<void> {
    const from = networkOf(address);
    await this.enter();
    try {
      await refuseBlocked(this.users, user);
      await refuseBlocked(this.addresses, from);
      if (await verify()) {
        await this.users.delete(user);
        return;
      }
      await count(this.users, user);
      await count(this.addresses, from);
    } finally {
      this.leave();
    }
    throw new Problem(401, 'wrong_credentials', 'User or password is wrong. Check both.');
  }

  private async enter(): Promise<void> {
    if (this.running < AT_ONCE) {
      this.running += 1;
      return;
    }
    if (this.waiting.length >= MOST_WAITING) throw new RetryLater(10);
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Hands the place to the next in line, if any. */
  private leave(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.running -= 1;
  }
}

async function refuseBlocked(limiter: RateLimiterMemory, key: string): Promise<void> {
  const state = await limiter.get(key);
  if (state && state.remainingPoints <= 0) {
    throw new RetryLater(Math.max(1, Math.ceil(state.msBeforeNext / 1000)));
  }
}

/** The limiter rejects with its state where a count goes over; that failure was counted all the same. */
async function count(limiter: RateLimiterMemory, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (reason) {
    if (!(reason instanceof RateLimiterRes)) throw reason;
  }
}

/** An IPv6 customer holds a /64 at least, so its addresses count as one. */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(Math.max(0, zeros)).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
