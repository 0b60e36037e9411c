import { createParamDecorator, SetMetadata } from '@nestjs/common';
import type { CustomDecorator, ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import type { Action, Grant, Period, Scope } from './access.js';

/** A signed-in person, as the guard found them by their token. */
export interface Caller {
  personId: string;
  sessionId: string;
  /** System time at which the token ends. */
  expiresAt: string;
  /** Empty while a one-time password has not been changed. */
  grants: Grant[];
  mustChangePassword: boolean;
}

/** What a route says about who may call it. */
export type AccessRule = { open: true } | { open: false; action: Action };

export const ACCESS_RULE = Symbol('access rule');

/**
 * Only callers whose grants allow the action. Its scope is read from the fields `microgrid` and
 * `household` of the path, the body and the query, which must agree where several name one.
 * @example `@Get(':household/balances') @Allow('household.read')`
 */
export function Allow(action: Action): CustomDecorator<symbol> {
  return SetMetadata(ACCESS_RULE, { open: false, action } satisfies AccessRule);
}

/** Open to everyone, without a token. */
export function Public(): CustomDecorator<symbol> {
  return SetMetadata(ACCESS_RULE, { open: true } satisfies AccessRule);
}

/** What the guard leaves on a request it let through. */
export interface AdmittedRequest extends Request {
  admitted?: { caller: Caller; scope: Scope; period: Period | null };
}

/** The signed-in person; only on routes with `@Allow`. */
export const CurrentCaller = createParamDecorator(
  (_: unknown, context: ExecutionContext): Caller => admitted(context).caller,
);

/** The scope the guard checked, with the household's microgrid filled in. */
export const CurrentScope = createParamDecorator(
  (_: unknown, context: ExecutionContext): Scope => admitted(context).scope,
);

/**
 * The slots of the scope's household that the caller may read. Every answer about a household must
 * stay within it: the next tenant sees nothing earlier.
 */
export const CurrentPeriod = createParamDecorator(
  (_: unknown, context: ExecutionContext): Period => {
    const { period } = admitted(context);
    if (!period) throw new Error('this route has no household in its scope');
    return period;
  },
);

function admitted(context: ExecutionContext): NonNullable<AdmittedRequest['admitted']> {
  const request = context.switchToHttp().getRequest<AdmittedRequest>();
  if (!request.admitted) throw new Error('the route is open: it has no caller');
  return request.admitted;
}
