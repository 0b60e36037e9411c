/**
 * Whether a fault lies in the moment and not in the slot: the database is away, restarting, out of
 * room, or two transactions met. Such a slot is tried again; any other fault would come again.
 */
export function isPassing(error: unknown): boolean {
  const codes = [error, (error as { driverError?: unknown } | null)?.driverError].map(
    (cause) => (cause as { code?: unknown } | null | undefined)?.code,
  );
  return (
    codes.some((code) => typeof code === 'string' && PASSING.test(code)) ||
    /connection terminated|connection timeout|pool is (ending|closed)|Cannot use a pool/i.test(
      error instanceof Error ? error.message : '',
    )
  );
}

// PostgreSQL's classes: connection, transaction rollback, resources, operator intervention, system;
// then what the operating system says of a socket.
const PASSING =
  /^(08|40|53|57|58)...$|^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/;
