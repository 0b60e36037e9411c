import { STATUS_CODES } from 'node:http';
import { Catch, HttpException, Logger } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { Response } from 'express';
import type { Socket } from 'socket.io';
import { isPassing } from '../database/passing-fault.js';
import { Problem } from '../units/problem.js';
import { RetryLater } from './retry-later.js';

/** What a client is told: RFC 9457 members, and the stable code. */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
}

/** Nothing is wrong with what was asked, nor with the program. */
const PASSING = {
  code: 'unavailable',
  detail: 'The database is away or busy at the moment. Try again in a few seconds.',
};

/** Answers every exception as problem details; what was not foreseen is logged and stays inside. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly log = new Logger('problem');

  catch(exception: unknown, host: ArgumentsHost): void {
    const details = problemDetails(exception);
    if (details.code === PASSING.code) {
      this.log.warn(exception instanceof Error ? exception.message : exception);
    } else if (details.status >= 500 && !(exception instanceof Problem)) {
      this.log.error(exception instanceof Error ? (exception.stack ?? exception) : exception);
    }
    if (host.getType() === 'ws') {
      host.switchToWs().getClient<Socket>().emit('exception', details);
      return;
    }
    const response = host.switchToHttp().getResponse<Response>();
    if (response.headersSent) {
      response.end();
      return;
    }
    if (exception instanceof RetryLater) {
      response.setHeader('Retry-After', String(exception.retryAfterSeconds));
    }
    if (details.status === 503) response.setHeader('Retry-After', '5');
    if (details.status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
    response.status(details.status).type('application/problem+json').send(JSON.stringify(details));
  }
}

/** The RFC 9457 members for any thrown value, without inner text for what was not foreseen. */
export function problemDetails(exception: unknown): ProblemDetails {
  if (exception instanceof Problem) {
    return details(exception.status, exception.code, exception.message);
  }
  if (isPassing(exception)) return details(503, PASSING.code, PASSING.detail);
  const status = clientStatusOf(exception);
  if (status === undefined) {
    return details(
      500,
      'internal_error',
      'Something failed here. It is in the log of the service.',
    );
  }
  const title = STATUS_CODES[status] ?? 'Error';
  const code = title.toLowerCase().replaceAll(/[^a-z]+/g, '_');
  const detail = exception instanceof Error ? exception.message : title;
  return details(status, code, detail);
}

function details(status: number, code: string, detail: string): ProblemDetails {
  return {
    type: `/problems/${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    code,
  };
}

/** The status of a Nest exception, or of a body that express could not read (400, 413, 415). */
function clientStatusOf(exception: unknown): number | undefined {
  if (exception instanceof HttpException) return exception.getStatus();
  if (exception instanceof Error && 'status' in exception && 'expose' in exception) {
    return exception.expose === true && typeof exception.status === 'number'
      ? exception.status
      : undefined;
  }
  return undefined;
}
