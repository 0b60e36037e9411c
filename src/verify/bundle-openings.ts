import type { RecordBody } from '../ledger/record.js';
import { auditedFields, MANIFEST_KINDS, publicFields } from '../settlement/manifest-release.js';
import type { Receiver } from './bundle.js';

/**
 * Which fields of which records a receiver is shown. Whatever is not named here stays closed: it
 * leaves the service as the hash of a leaf that its secret salt keeps from being guessed.
 */

/** Where openings lie in a bundle: one record a line, in sequence. */
export const OPENINGS = 'openings.jsonl';

const OF_PROGRAMS = ['kind', 'sequence', 'microgrid', 'v', 'at'] as const;

/** Of programs and awards: never the household, who acted, or the cause, which names the household. */
const SHOWN: Readonly<Record<string, ReadonlySet<string>>> = {
  'program-created': fields('action', 'program', 'indicator', 'rateMicroPerKwh'),
  'program-run': fields(
    'action',
    'program',
    'periodFrom',
    'periodTo',
    'rateMicroPerKwh',
    'currency',
    'awards',
    'awardedMicro',
  ),
  award: fields(
    'program',
    'periodFrom',
    'periodTo',
    'rateMicroPerKwh',
    'currency',
    'pseudonym',
    'claimedWh',
    'amountMicro',
  ),
  funding: fields('program', 'direction', 'amountMicro', 'currency', 'reference'),
};

/** Kinds among which records that are shown can be. */
export const KINDS_SHOWN = ['operator-action', 'award', 'deposit', ...MANIFEST_KINDS] as const;

/** The fields of a record that are open to everyone; null where nothing of it is. */
export function fieldsPublic(body: RecordBody): ReadonlySet<string> | null {
  return publicFields(body);
}

/** The fields of a record that go to the receiver; null where nothing of it does. */
export function fieldsShown(body: RecordBody, receiver: Receiver): ReadonlySet<string> | null {
  // The operator has the records themselves.
  if (receiver === 'operator') return null;
  const { kind, facts } = body;
  if (receiver === 'auditor' && isManifest(kind)) return auditedFields(body);
  if (kind === 'manifest') return publicFields(body);
  if (kind === 'award') return SHOWN['award']!;
  if (kind === 'operator-action') {
    const action = facts['action'];
    return typeof action === 'string' && Object.hasOwn(SHOWN, action) ? SHOWN[action]! : null;
  }
  // A deposit into a program's fund; those of households are between them and the operator.
  if (kind === 'deposit' && 'program' in facts && body.households.length === 0) {
    return SHOWN['funding']!;
  }
  return null;
}

function isManifest(kind: string): boolean {
  return MANIFEST_KINDS.some((one) => one === kind);
}

function fields(...facts: string[]): ReadonlySet<string> {
  return new Set([...OF_PROGRAMS, ...facts.map((name) => `facts.${name}`)]);
}
