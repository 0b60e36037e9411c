import { expect, test } from '@jest/globals';
import { isPassing } from '../../src/database/passing-fault.js';

/** Whether a slot is tried again (true) or set aside (false). */
const FAULTS: [boolean, string, unknown][] = [
  [true, 'the server shuts down', coded('57P01')],
  [true, 'the server starts up', coded('57P03')],
  [true, 'a statement took too long', coded('57014')],
  [true, 'two transactions met', coded('40001')],
  [true, 'two transactions waited for each other', coded('40P01')],
  [true, 'the disk is full', coded('53100')],
  [true, 'too many connections', coded('53300')],
  [true, 'a connection failed', coded('08006')],
  [true, 'the disk cannot be read', coded('58030')],
  [true, 'a transaction idled too long', coded('25P03')],
  [true, 'a lock could not be had', coded('55P03')],
  [true, 'nobody listens', coded('ECONNREFUSED')],
  [true, 'the network is away', coded('EHOSTUNREACH')],
  [true, 'a fault inside the mapper', { driverError: coded('57P01') }],
  [true, 'the connection went away', new Error('Connection terminated unexpectedly')],
  [
    true,
    'it went away between two statements',
    new Error('Client has encountered a connection error and is not queryable'),
  ],
  [true, 'the pool is busy', new Error('timeout exceeded when trying to connect')],
  [true, 'the service stops', new Error('Cannot use a pool after calling end on the pool')],
  [false, 'an equation does not hold', new Error('production differs from its claims')],
  [false, 'a row is there already', coded('23505')],
  [false, 'a value does not fit', coded('22003')],
  [false, 'the program is wrong', new TypeError('x is undefined')],
  [false, 'a table is missing', coded('42P01')],
  [false, 'nothing is known', null],
  [false, 'a word', 'no'],
];

test.each(FAULTS)('%s: %s', (passing, _, fault) => {
  expect(isPassing(fault)).toBe(passing);
});

function coded(code: string): Error {
  return Object.assign(new Error(`fault ${code}`), { code });
}
