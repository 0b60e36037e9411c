/** SQL of tallies: sums over all records after one. */

export const KINDS_SINCE = `
  SELECT kind, count(*)::bigint AS records FROM record_head
  WHERE microgrid_id = $1 AND sequence > $2 GROUP BY kind`;

export const MOVED_SINCE = `
  SELECT debit_account AS debit, credit_account AS credit, asset, state,
    sum(amount)::bigint AS amount, count(*)::bigint AS lines
  FROM transfer WHERE microgrid_id = $1 AND sequence > $2
  GROUP BY debit_account, credit_account, asset, state`;
