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
 * @param topics filters of meters and gateways whose devices use others than the native topics
 */
export function mosquittoAcl(
  credentials: readonly { username: string; kind: string; microgridId: string | null }[],
  meters: ReadonlyMap<string, readonly string[]>,
  topics: ReadonlyMap<string, readonly string[]>,
): string {
  const lines = [
    '# A meter writes its own topics; the device of a household reads its settlements.',
    'pattern write microgrids/+/meters/%u/#',
    'pattern read microgrids/+/households/%u/settlements',
  ];
  for (const { username } of credentials.filter((one) => one.kind === 'service')) {
    lines.push('', `user ${username}`, 'topic readwrite microgrids/#');
    lines.push(...deviceLines([...new Set([...topics.values()].flat())]));
  }
  for (const { username, microgridId } of credentials.filter((one) => one.kind === 'gateway')) {
    const own = meters.get(username) ?? [];
    lines.push('', `# gateway of ${microgridId}`, `user ${username}`);
    lines.push(...own.map((meter) => `topic write microgrids/${microgridId}/meters/${meter}/#`));
    lines.push(...deviceLines(topics.get(username)));
  }
  for (const { username } of credentials.filter((one) => one.kind === 'meter')) {
    const own = deviceLines(topics.get(username));
    if (own.length > 0) lines.push('', `user ${username}`, ...own);
  }
  return `${lines.join('\n')}\n`;
}

/** Devices hear commands where they publish; the service sends those that Sparkplug knows. */
function deviceLines(filters: readonly string[] = []): string[] {
  return filters.map((filter) => `topic readwrite ${filter}`);
}

/** Where a Mosquitto listens, and how it keeps what waits for the service. */
export interface Listeners {
  /** Absolute; holds `passwords` and `acl`, and the queues in `data/`. */
  folder: string;
  service: { host: string; port: number };
  /** Null: meters use the service's listener. `ca` asks them for a client certificate. */
  meters: { port: number; certificate: string; key: string; ca: string | null } | null;
  /** Null: queues are written down at every change. */
  autosaveSeconds: number | null;
}

/** A whole mosquitto.conf. @see mosquitto.conf(5) of 2.0 */
export function mosquittoConfiguration(listeners: Listeners): string {
  const { folder, service, meters, autosaveSeconds } = listeners;
  return `${[
    '# Written by npm run operator -- mosquitto. Reload after every change of passwords and acl: SIGHUP.',
    'per_listener_settings false',
    'allow_anonymous false',
    `password_file ${folder}/passwords`,
    `acl_file ${folder}/acl`,
    '',
    `listener ${service.port} ${service.host}`,
    ...(meters ? ['', ...tlsListener(meters)] : []),
    '',
    '# What waits for the service survives a restart of the broker.',
    'persistence true',
    `persistence_location ${folder}/data/`,
    ...(autosaveSeconds === null
      ? ['autosave_on_changes true', 'autosave_interval 1']
      : ['autosave_on_changes false', `autosave_interval ${autosaveSeconds}`]),
    'persistent_client_expiration 30d',
    '# No limit in practice. Written as 0, early releases of 2.0 end a connection at a refused message.',
    'max_queued_messages 10000000',
    'max_inflight_messages 65535',
    '',
    '# Readings are small; nothing larger is taken from anyone.',
    'max_packet_size 1048576',
    'max_connections 20000',
    'max_keepalive 3600',
    'connection_messages false',
  ].join('\n')}\n`;
}

function tlsListener({ port, certificate, key, ca }: NonNullable<Listeners['meters']>): string[] {
  const lines = [
    `listener ${port}`,
    `certfile ${certificate}`,
    `keyfile ${key}`,
    'tls_version tlsv1.2',
  ];
  if (ca === null) return lines;
  return [
    ...lines,
    `cafile ${ca}`,
    'require_certificate true',
    '# The certificate says who it is; a password is not asked for.',
    'use_identity_as_username true',
  ];
}
