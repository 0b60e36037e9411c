import { Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { DatabaseService } from '../database/database.service.js';
import { isIdent } from '../units/ids.js';
import { Problem } from '../units/problem.js';
import { accessPeriod, may } from './access.js';
import type { Scope } from './access.js';
import { ACCESS_RULE } from './access.decorator.js';
import type { AccessRule, AdmittedRequest, Caller } from './access.decorator.js';
import { MarketClockService } from './market-clock.service.js';
import { PartiesService } from './parties.service.js';

/** Asks the table for every HTTP route; a route that does not say who may call it is refused. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    // The feed asks the table itself, when a socket connects and whenever it is about to send.
    if (context.getType() !== 'http') return true;
    const rule = this.reflector.getAllAndOverride<AccessRule | undefined>(ACCESS_RULE, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (!rule) {
      throw new Problem(403, 'forbidden', 'This route admits nobody.');
    }
    if (rule.open) return true;
    const request = context.switchToHttp().getRequest<AdmittedRequest>();
    const caller = await this.callerOf(request);
    if (caller.mustChangePassword && rule.action !== 'self') {
      throw new Problem(
        403,
        'password_change_required',
        'This is a one-time password. Set your own first: POST /v1/people/me/password.',
      );
    }
    const scope = await this.completed(namedScope(request));
    const now = await this.clock.now();
    // Unknown and foreign are refused alike, so that nobody learns which ids exist.
    if (!may(caller.grants, rule.action, scope, now)) {
      throw new Problem(403, 'forbidden', 'Your grants do not allow this.');
    }
    const { microgrid, household } = scope;
    const period =
      microgrid !== undefined && household !== undefined
        ? accessPeriod(caller.grants, { microgrid, household }, now)
        : null;
    request.admitted = { caller, scope, period };
    return true;
  }

  private async callerOf(request: AdmittedRequest): Promise<Caller> {
    const header = request.headers.authorization ?? '';
    const token = /^Bearer ([A-Za-z0-9_-]{20,100})$/i.exec(header)?.[1];
    const caller = token === undefined ? null : await this.parties.callerOf(token);
    if (!caller) {
      throw new Problem(
        401,
        'unauthorized',
        'A valid access token is needed: log in at POST /v1/sessions and send it as Bearer token.',
      );
    }
    return caller;
  }

  /** With the household's own microgrid; a household named together with another one is refused. */
  private async completed(scope: Scope): Promise<Scope> {
    if (scope.household === undefined) return scope;
    const household = await this.parties.householdOf(this.database, scope.household);
    if (!household) return scope;
    if (scope.microgrid !== undefined && scope.microgrid !== household.microgridId) {
      throw new Problem(403, 'forbidden', 'Your grants do not allow this.');
    }
    return { ...scope, microgrid: household.microgridId };
  }
}

/**
 * Microgrid and household as path, query and body name them. Where two of them differ, the check
 * and the handler could each believe another one: refused.
 */
function namedScope(request: AdmittedRequest): Scope {
  return { microgrid: named(request, 'microgrid'), household: named(request, 'household') };
}

function named(request: AdmittedRequest, field: 'microgrid' | 'household'): string | undefined {
  const sources: unknown[] = [request.params, request.query, request.body];
  const values = sources.flatMap((source) => {
    if (typeof source !== 'object' || source === null || !Object.hasOwn(source, field)) return [];
    return [(source as Record<string, unknown>)[field]];
  });
  const [first] = values;
  if (values.length === 0) return undefined;
  if (!isIdent(first) || values.some((value) => value !== first)) {
    throw new Problem(
      400,
      'invalid_request',
      `${field}: must be one id, the same wherever it is named.`,
    );
  }
  return first;
}
