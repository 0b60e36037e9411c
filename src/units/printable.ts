/**
 * A line of somebody else's text as a terminal may show it: control characters could move its cursor,
 * name its window or fake a further line, and those of writing direction turn what stands there round.
 * @example printable('a\u001b[2Jb') // 'a\uFFFD[2Jb'
 */
export function printable(line: string): string {
  return line.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, '\uFFFD');
}
