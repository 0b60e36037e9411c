/**
 * An expected refusal that reaches a client as RFC 9457 problem details. `code` is stable and
 * machine-readable; `detail` says what was wrong and what to do, and never more than the caller may know.
 */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
    this.name = 'Problem';
  }
}
