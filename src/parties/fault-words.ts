import type { z } from 'zod';

/** What does not fit in what somebody sent, in words that say what is expected. */

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/**
 * For `safeParse(value, { error: faultInWords })`: speaks wherever a schema has no words of its own.
 * @example faultInWords of a required number that is absent: 'is missing'
 */
export const faultInWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.input === undefined) {
    return isWhole(issue)
      ? 'nothing was sent: send JSON with the header content-type: application/json'
      : 'is missing';
  }
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${issue.values.map(String).join(' or ')}`;
    case 'too_small':
      return bound(issue.origin, issue.inclusive ? 'at least' : 'more than', issue.minimum);
    case 'too_big':
      return bound(issue.origin, issue.inclusive ? 'at most' : 'less than', issue.maximum);
    case 'unrecognized_keys':
      return `there is no field ${issue.keys.join(', ')}`;
    default:
      return undefined;
  }
};

function isWhole(issue: z.core.$ZodRawIssue): boolean {
  return (issue.path ?? []).length === 0;
}

function bound(of: string, word: string, value: number | bigint): string {
  if (of === 'string') return `must have ${word} ${value} characters`;
  if (of === 'array' || of === 'set') return `must have ${word} ${value} entries`;
  return `must be ${word} ${value}`;
}
