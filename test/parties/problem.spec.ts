import { describe, expect, it } from '@jest/globals';
import { BadRequestException } from '@nestjs/common';
import { problemDetails } from '../../src/parties/problem.filter.js';
import { Problem } from '../../src/units/problem.js';

/** What a client is told of whatever was thrown: what to do, and nothing from within. */

const failed = (code: string, message: string): Error =>
  Object.assign(new Error(message), { code });

describe('a client is told', () => {
  it.each([
    ['a refusal as it was put', new Problem(409, 'taken', 'm1 is taken.'), 409, 'taken'],
    ['of Nest, its status', new BadRequestException('no'), 400, 'bad_request'],
    ['to try again: no database', failed('ECONNREFUSED', '127.0.0.1:5432'), 503, 'unavailable'],
    ['to try again: it restarts', failed('57P03', 'starting up'), 503, 'unavailable'],
    ['to try again: it is full', failed('53300', 'too many clients'), 503, 'unavailable'],
    ['nothing of a broken rule', failed('23505', 'duplicate key "x"'), 500, 'internal_error'],
    ['nothing of a bug', new TypeError('x is undefined'), 500, 'internal_error'],
  ])('%s', (_, thrown, status, code) => {
    const told = problemDetails(thrown);
    expect(told).toMatchObject({ status, code, type: `/problems/${code}` });
    if (status >= 500) expect(told.detail).not.toContain(thrown.message);
  });
});
