/** Identifiers of microgrids, households, meters, gateways and people. */
export const IDENT = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether `text` may name a microgrid, household, meter, gateway or person. */
export function isIdent(text: unknown): text is string {
  return typeof text === 'string' && IDENT.test(text);
}
