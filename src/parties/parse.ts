import { z } from 'zod';
import type { ZodType } from 'zod';
import { IDENT } from '../units/ids.js';
import { Problem } from '../units/problem.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import { faultInWords } from './fault-words.js';

/**
 * Input from outside as a value that cannot be wrong.
 * @throws Problem 400 `invalid_request` naming every field that does not fit and what it should be
 */
export function parse<T>(schema: ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value, { error: faultInWords });
  if (result.success) return result.data;
  const shown = result.error.issues.slice(0, 5).map((issue) => {
    const field = issue.path.map(String).join('.');
    return field === '' ? issue.message : `${field}: ${issue.message}`;
  });
  const more = result.error.issues.length - shown.length;
  throw new Problem(
    400,
    'invalid_request',
    `${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}. Correct and send again.`,
  );
}

/** Id of a microgrid, household, meter, gateway or person. */
export const ident = z
  .string()
  .regex(IDENT, 'must be 1 to 64 letters, digits, underscores or hyphens');

/** An RFC 3339 instant with a zone, made canonical. */
export const instant = z.string().transform((text, context) => {
  try {
    return formatInstant(parseInstant(text));
  } catch {
    context.addIssue({
      code: 'custom',
      message: 'must be an RFC 3339 instant with a zone, such as 2026-06-01T10:15:00Z',
    });
    return z.NEVER;
  }
});

/** Money, price or energy that is not negative: a safe integer. */
export const nonNegative = z.int('must be a whole number').min(0, 'must not be negative');

/** A safe integer above zero. */
export const positive = z.int('must be a whole number').min(1, 'must be above zero');
