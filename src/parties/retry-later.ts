import { Problem } from '../units/problem.js';

/** Too many attempts: 429 with the seconds to wait. */
export class RetryLater extends Problem {
  constructor(readonly retryAfterSeconds: number) {
    super(
      429,
      'too_many_requests',
      `Too many attempts. Wait ${retryAfterSeconds} seconds and try again.`,
    );
    this.name = 'RetryLater';
  }
}
