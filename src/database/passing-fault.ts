/**
 * Whether a fault lies in the moment and not in what was asked: the database is away, restarting, out of
 * room, or two transactions met. The same is tried again, by us or by who asked; any other fault would
 * come again.
 */
export function isPassing(error: unknown): boolean {
  const codes = [error, (error as { driverError?: unknown } | null)?.driverError].map(
    (cause) => (cause as { code?: unknown } | null | undefined)?.code,
  );
  return (
    codes.some((code) => typeof code === 'string' && PASSING.test(code)) ||
    (error instanceof Error && FROM_THE_DRIVER.test(error.message))
  );
}

// PostgreSQL's classes: connection, transaction rollback, resources, operator intervention, system;
// then a lock or a transaction that took too long, and what the operating system says of a socket.
const PASSING =
  /^(08|40|53|57|58)...$|^(25P0[34]|55P03)$|^(ECONN(REFUSED|RESET|ABORTED)|E(HOST|NET)UNREACH|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/;

// What pg and its pool say without a code; `not queryable` where a connection was lost between two
// statements.
const FROM_THE_DRIVER =
  /connection terminated|connection timeout|not queryable|timeout exceeded when trying to connect|pool is (ending|closed)|Cannot use a pool/i;
