/** The credentials and the access table of `access.ts` as a stock Mosquitto reads them. */

/** A line of the password file: `user:$7$...`. */
export function mosquittoPasswords(
  credentials: readonly { username: string; secretHash: string }[],
): string {
  return credentials.map((one) => `${one.username}:${one.secretHash}\n`).join('');
}

/**
 * The ACL file. What it does not name is denied.
 * @param meters of each gateway
 */
export function mosquittoAcl(
  credentials: readonly { username: string; kind: string; microgridId: string | null }[],
  meters: ReadonlyMap<string, readonly string[]>,
): string {
  const lines = [
    '# A meter writes its own topics; the device of a household reads its settlements.',
    'pattern write microgrids/+/meters/%u/#',
    'pattern read microgrids/+/households/%u/settlements',
  ];
  for (const { username } of credentials.filter((one) => one.kind === 'service')) {
    lines.push('', `user ${username}`, 'topic readwrite microgrids/#');
  }
  for (const { username, microgridId } of credentials.filter((one) => one.kind === 'gateway')) {
    const own = meters.get(username) ?? [];
    lines.push('', `# gateway of ${microgridId}`, `user ${username}`);
    lines.push(...own.map((meter) => `topic write microgrids/${microgridId}/meters/${meter}/#`));
  }
  return `${lines.join('\n')}\n`;
}
