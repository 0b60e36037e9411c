/** Why something could not be had from the service, in words a person can act on. */

/** `status` 0: the service was not reached. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
    this.name = 'ApiProblem';
  }
}

/** Whatever was thrown, as something a panel can show. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  return new ApiProblem(0, 'unexpected', 'Something unexpected happened on this page.');
}
