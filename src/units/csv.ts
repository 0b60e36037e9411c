import { stringify } from 'csv-stringify/sync';

/**
 * Rows as CSV (RFC 4180) for people's spreadsheets, with the names of their columns first. Text that a
 * spreadsheet would run as a formula, such as an alias that begins with `=`, stands behind an apostrophe.
 * @example csvOf([{ netMicro: -1, neighbor: '=1+1' }]) // "netMicro,neighbor\n-1,'=1+1\n"
 */
export function csvOf(rows: readonly object[]): string {
  return stringify([...rows], { header: true, escape_formulas: true });
}
