import { MalformedError } from '../transparency/bytes.js';
import { parseVerifierKey } from '../transparency/signed-note.js';

/** Whose signatures make the checkpoints of a microgrid's log good: its name, and its verifier key. */
export interface LogKeys {
  origin(microgridId: string): string;
  verifierKey(microgridId: string): string;
  /** Every key that signed rightly, also before keys were changed, or under an earlier name. */
  verifierKeys(microgridId: string): readonly string[];
}

/**
 * Keys as they are handed around, `name+id+key`, where the name ends in the microgrid's.
 * @throws MalformedError on one that is no verifier key
 * @example handedKeys(['grid.example/street+1e4a…+AbC…']).origin('street') === 'grid.example/street'
 */
export function handedKeys(verifierKeys: readonly string[]): LogKeys {
  const known = verifierKeys.map((text) => ({ text, ...parseVerifierKey(text) }));
  const keyOf = (microgridId: string) => {
    const key = known.find(({ name }) => name.endsWith(`/${microgridId}`));
    if (!key) throw new MalformedError(`no verifier key is given for ${microgridId}`);
    return key;
  };
  return {
    origin: (microgridId) => keyOf(microgridId).name,
    verifierKey: (microgridId) => keyOf(microgridId).text,
    verifierKeys: (microgridId) =>
      known.filter(({ name }) => name.endsWith(`/${microgridId}`)).map(({ text }) => text),
  };
}
