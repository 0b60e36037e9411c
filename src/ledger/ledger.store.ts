/** SQL of the ledger: every statement takes a whole batch. */

export const LOCK_HEAD = `
  SELECT sequence, log_edge AS "logEdge" FROM journal_head WHERE microgrid_id = $1 FOR UPDATE`;

export const CREATE_HEAD = `
  INSERT INTO journal_head (microgrid_id) VALUES ($1) ON CONFLICT DO NOTHING`;

export const MOVE_HEAD = `
  UPDATE journal_head SET sequence = $2, log_edge = $3 WHERE microgrid_id = $1`;

export const READ_HEAD = `
  SELECT sequence FROM journal_head WHERE microgrid_id = $1`;

export const READ_HEADS = `
  SELECT microgrid_id AS "microgridId", sequence FROM journal_head ORDER BY microgrid_id`;

/** Accounts as they stand: only who holds the head's lock changes them. */
export const ACCOUNTS = `
  SELECT account_id AS account, asset, debits_pending AS "debitsPending",
    credits_pending AS "creditsPending", debits_posted AS "debitsPosted",
    credits_posted AS "creditsPosted", limited, credit_limit AS "creditLimit",
    debit_limit AS "debitLimit", version
  FROM account WHERE microgrid_id = $1 AND account_id = ANY ($2::text[])`;

export const OPEN_ACCOUNTS = `
  INSERT INTO account (microgrid_id, account_id, asset, limited, credit_limit, debit_limit,
    debits_pending, credits_pending, debits_posted, credits_posted, version)
  SELECT $1, * FROM unnest($2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])`;

/** Adds rather than sets; a row count short of the batch means that an account has gone. */
export const CHANGE_ACCOUNTS = `
  UPDATE account SET
    debits_pending = account.debits_pending + change.debits_pending,
    credits_pending = account.credits_pending + change.credits_pending,
    debits_posted = account.debits_posted + change.debits_posted,
    credits_posted = account.credits_posted + change.credits_posted,
    version = account.version + change.records
  FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS change (account, debits_pending, credits_pending, debits_posted, credits_posted, records)
  WHERE account.microgrid_id = $1 AND account.account_id = change.account
  RETURNING 1`;

const HOLD = `
  held.transfer_id AS id, held.debit_account AS debit, held.credit_account AS credit, held.asset,
  held.amount, held.state, timeout.expires_at AS "expiresAt"`;

/** These transfers, and what became of those that are holds. */
export const HOLDS = `
  SELECT ${HOLD}, resolution.state AS resolved
  FROM transfer held
  LEFT JOIN hold_timeout timeout USING (microgrid_id, transfer_id)
  LEFT JOIN transfer resolution ON resolution.microgrid_id = held.microgrid_id
    AND resolution.pending_id = held.transfer_id
  WHERE held.microgrid_id = $1 AND held.transfer_id = ANY ($2::text[])`;

/** Open holds whose time is over by $2, in the order in which they expire. */
export const DUE_HOLDS = `
  SELECT ${HOLD}, NULL AS resolved
  FROM hold_timeout timeout JOIN transfer held USING (microgrid_id, transfer_id)
  WHERE timeout.microgrid_id = $1 AND timeout.expires_at <= $2
  ORDER BY timeout.expires_at, held.sequence, held.line`;

export const SET_TIMEOUTS = `
  INSERT INTO hold_timeout (microgrid_id, transfer_id, expires_at)
  SELECT $1, * FROM unnest($2::text[], $3::timestamptz[])`;

export const END_TIMEOUTS = `
  DELETE FROM hold_timeout WHERE microgrid_id = $1 AND transfer_id = ANY ($2::text[])`;

/** Records by the hashes of their causes, and of these hashes and ids in hex those that failed. */
export const KNOWN_CAUSES = `
  SELECT encode(head.cause_hash, 'hex') AS id, head.sequence, body.key_holder AS "keyHolder",
    body.bytes
  FROM record_head head LEFT JOIN record_body body USING (microgrid_id, sequence)
  WHERE head.microgrid_id = $1 AND head.cause_hash = ANY ($2::bytea[])
  UNION ALL
  SELECT id, NULL, NULL, NULL FROM failed_id WHERE microgrid_id = $1 AND id = ANY ($3::text[])`;

export const INSERT_FAILED_IDS = `
  INSERT INTO failed_id (microgrid_id, id) SELECT $1, * FROM unnest($2::text[])
  ON CONFLICT DO NOTHING`;

/** The key of each of these holders, and how many records concern it: the number of its last one. */
export const HOLDERS = `
  SELECT asked.holder, last.number, known.key
  FROM unnest($2::text[]) AS asked (holder)
  LEFT JOIN record_key known ON known.microgrid_id = $1 AND known.key_holder = asked.holder
  LEFT JOIN LATERAL (
    SELECT number FROM record_household concerned
    WHERE concerned.microgrid_id = $1 AND concerned.household_id = asked.holder
    ORDER BY concerned.sequence DESC LIMIT 1
  ) last ON true`;

export const COPY_RECORD_HEADS = `
  COPY record_head (microgrid_id, sequence, kind, at, cause_hash, commitment)
  FROM STDIN (FORMAT binary)`;

export const COPY_RECORD_BODIES = `
  COPY record_body (microgrid_id, sequence, key_holder, bytes) FROM STDIN (FORMAT binary)`;

export const COPY_RECORD_HOUSEHOLDS = `
  COPY record_household (microgrid_id, household_id, sequence, number)
  FROM STDIN (FORMAT binary)`;

export const COPY_TRANSFERS = `
  COPY transfer (microgrid_id, transfer_id, sequence, line, debit_account, credit_account, asset,
    amount, code, state, pending_id)
  FROM STDIN (FORMAT binary)`;

export const COPY_LOG_ENTRIES = `
  COPY log_entry (microgrid_id, entry_index, entry) FROM STDIN (FORMAT binary)`;

export const WRITE_TILES = `
  INSERT INTO log_tile (microgrid_id, level, tile, hashes)
  SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bytea[])
  ON CONFLICT (microgrid_id, level, tile) DO UPDATE SET hashes = excluded.hashes`;

export const READ_TILES = `
  SELECT stored.level, stored.tile, stored.hashes
  FROM log_tile stored
  JOIN unnest($2::smallint[], $3::bigint[]) AS wanted (level, tile)
    ON stored.level = wanted.level AND stored.tile = wanted.tile
  WHERE stored.microgrid_id = $1`;

export const READ_ENTRIES = `
  SELECT entry_index AS "index", entry FROM log_entry
  WHERE microgrid_id = $1 AND entry_index >= $2 AND entry_index < $3 ORDER BY entry_index`;

export const CREATE_KEYS = `
  INSERT INTO record_key (microgrid_id, key_holder, key)
  SELECT $1, * FROM unnest($2::text[], $3::bytea[]) ON CONFLICT DO NOTHING`;

export const BALANCES = `
  SELECT account_id AS "accountId", asset, debits_pending AS "debitsPending",
    credits_pending AS "creditsPending", debits_posted AS "debitsPosted",
    credits_posted AS "creditsPosted", limited, credit_limit AS "creditLimit",
    debit_limit AS "debitLimit"
  FROM account WHERE microgrid_id = $1 AND account_id = ANY ($2::text[])`;

/** What a transfer did to the account on one side of it; a resolution frees all of its hold. */
const didBy = (side: 'debit' | 'credit') => `
  SELECT moved.sequence, moved.line, moved.code, moved.state, '${side}' AS side,
    moved.${side === 'debit' ? 'credit' : 'debit'}_account AS other, moved.amount,
    CASE WHEN moved.state IN ('posted', 'post') THEN moved.amount ELSE 0 END AS posted,
    CASE moved.state WHEN 'posted' THEN 0 WHEN 'pending' THEN moved.amount ELSE -hold.amount END
      AS pending
  FROM transfer moved
  LEFT JOIN transfer hold ON hold.microgrid_id = moved.microgrid_id
    AND hold.transfer_id = moved.pending_id
  WHERE moved.microgrid_id = $1 AND moved.${side}_account = account.account_id`;

const sumsOf = (side: 'debit' | 'credit') => `
  LATERAL (
    SELECT count(*) AS lines, coalesce(sum(posted), 0)::bigint AS posted,
      coalesce(sum(pending), 0)::bigint AS pending
    FROM (${didBy(side)} AND moved.sequence <= $2) did
  ) ${side}`;

/** Accounts as record $2 left them, out of the transfers up to it. */
const THEN = `
  SELECT account_id AS "accountId", asset, debit.pending AS "debitsPending",
    credit.pending AS "creditsPending", debit.posted AS "debitsPosted",
    credit.posted AS "creditsPosted", limited, credit_limit AS "creditLimit",
    debit_limit AS "debitLimit"
  FROM account, ${sumsOf('debit')}, ${sumsOf('credit')}
  WHERE account.microgrid_id = $1 AND debit.lines + credit.lines > 0`;

export const BALANCES_THEN = `${THEN} AND account_id = ANY ($3::text[])`;

/** A page of the accounts behind $3 that are no household's, or of all where $4 is true. */
export const ACCOUNTS_THEN = `
  ${THEN} AND account_id > $3 AND ($4 OR account_id NOT LIKE 'household/%')
  ORDER BY account_id LIMIT $5`;

/**
 * Lines of account $2 behind line $4 of record $3, with the balances that each left: what all before
 * them sum to, and a window over the rest. Only those in [$5, $6) of market time are shown.
 */
export const STATEMENT = `
  WITH account AS (SELECT $2::text AS account_id),
  did AS (
    SELECT did.* FROM account, LATERAL (${didBy('debit')}) did
    UNION ALL
    SELECT did.* FROM account, LATERAL (${didBy('credit')}) did
  ),
  before AS (
    SELECT coalesce(sum(CASE side WHEN 'debit' THEN -posted ELSE posted END), 0) AS balance,
      coalesce(sum(pending) FILTER (WHERE side = 'debit'), 0) AS held,
      coalesce(sum(pending) FILTER (WHERE side = 'credit'), 0) AS expected
    FROM did WHERE (sequence, line) <= ($3, $4)
  ),
  running AS (
    SELECT did.*,
      sum(CASE side WHEN 'debit' THEN -posted ELSE posted END) OVER lines AS balance,
      coalesce(sum(pending) FILTER (WHERE side = 'debit') OVER lines, 0) AS held,
      coalesce(sum(pending) FILTER (WHERE side = 'credit') OVER lines, 0) AS expected
    FROM did WHERE (sequence, line) > ($3, $4)
    WINDOW lines AS (ORDER BY sequence, line)
  )
  SELECT running.sequence, running.line, head.at, running.code, running.state, running.side,
    running.other, running.amount,
    (before.balance + running.balance)::bigint AS balance,
    (before.held + running.held)::bigint AS held,
    (before.expected + running.expected)::bigint AS expected
  FROM before, running
  JOIN record_head head ON head.microgrid_id = $1 AND head.sequence = running.sequence
  WHERE ($5::timestamptz IS NULL OR head.at >= $5) AND ($6::timestamptz IS NULL OR head.at < $6)
  ORDER BY running.sequence, running.line LIMIT $7`;

export const INSTANT_OF = `
  SELECT at FROM record_head WHERE microgrid_id = $1 AND sequence = $2`;

export const ASSET_OF = `
  SELECT asset FROM account WHERE microgrid_id = $1 AND account_id = $2`;

/** $4 is null for all records, or the household whose records are wanted. */
export const RECORDS = `
  SELECT head.sequence, body.bytes
  FROM record_head head JOIN record_body body USING (microgrid_id, sequence)
  WHERE head.microgrid_id = $1 AND head.sequence > $2
    AND ($4::text IS NULL OR EXISTS (
      SELECT FROM record_household concerned
      WHERE concerned.microgrid_id = head.microgrid_id AND concerned.sequence = head.sequence
        AND concerned.household_id = $4))
  ORDER BY head.sequence LIMIT $3`;

export const RECORDS_AT = `
  SELECT sequence, bytes FROM record_body
  WHERE microgrid_id = $1 AND sequence = ANY ($2::bigint[]) ORDER BY sequence`;

/** Posted credits less debits of one account, before and within [$3, $4), by code. */
export const MOVEMENTS = `
  SELECT moved.code,
    coalesce(sum(moved.amount) FILTER (WHERE head.at < $3), 0)::bigint AS before,
    coalesce(sum(moved.amount) FILTER (WHERE head.at >= $3), 0)::bigint AS during,
    count(*) FILTER (WHERE head.at >= $3)::bigint AS lines
  FROM (
    SELECT sequence, code, amount FROM transfer
    WHERE microgrid_id = $1 AND credit_account = $2 AND state IN ('posted', 'post')
    UNION ALL
    SELECT sequence, code, -amount FROM transfer
    WHERE microgrid_id = $1 AND debit_account = $2 AND state IN ('posted', 'post')
  ) moved
  JOIN record_head head ON head.microgrid_id = $1 AND head.sequence = moved.sequence
  WHERE head.at < $4
  GROUP BY moved.code ORDER BY moved.code`;

export const RECORD_OF_CAUSE = `
  SELECT body.bytes
  FROM record_head head JOIN record_body body USING (microgrid_id, sequence)
  WHERE head.microgrid_id = $1 AND head.cause_hash = $2`;

export const RECORDS_OF_CAUSES = `
  SELECT body.bytes
  FROM record_head head JOIN record_body body USING (microgrid_id, sequence)
  WHERE head.microgrid_id = $1 AND head.cause_hash = ANY ($2::bytea[]) ORDER BY head.sequence`;

export const BODIES = `
  SELECT sequence, key_holder AS "keyHolder", bytes FROM record_body
  WHERE microgrid_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3`;

export const COUNTS = `
  SELECT count(*)::bigint AS records,
    (SELECT count(*) FROM transfer WHERE microgrid_id = $1)::bigint AS transfers,
    coalesce(max(sequence), 0)::bigint AS sequence
  FROM record_head WHERE microgrid_id = $1`;

export const LAST_SEQUENCE_OF_HOUSEHOLD = `
  SELECT coalesce(max(sequence), 0) AS sequence FROM record_household
  WHERE microgrid_id = $1 AND household_id = $2 AND sequence <= $3`;

export const LATEST_CHECKPOINT = `
  SELECT size, root, note FROM checkpoint WHERE microgrid_id = $1 ORDER BY size DESC LIMIT 1`;

/** The latest published checkpoint, and the first that covers a record. */
export const LATEST_PUBLISHED = `
  SELECT published.size, signed.root, published.note
  FROM publication published JOIN checkpoint signed USING (microgrid_id, size)
  WHERE microgrid_id = $1 ORDER BY size DESC LIMIT 1`;

export const PUBLISHED_COVERING = `
  SELECT published.size, signed.root, published.note
  FROM publication published JOIN checkpoint signed USING (microgrid_id, size)
  WHERE microgrid_id = $1 AND size >= $2 ORDER BY size LIMIT 1`;

export const CHECKPOINT_COVERING = `
  SELECT size, root, note FROM checkpoint
  WHERE microgrid_id = $1 AND size >= $2 ORDER BY size LIMIT 1`;

export const INSERT_CHECKPOINT = `
  INSERT INTO checkpoint (microgrid_id, size, root, note) VALUES ($1, $2, $3, $4)
  ON CONFLICT DO NOTHING`;

export const HEAD_FOR_CHECKPOINT = `
  SELECT sequence, log_edge AS "logEdge" FROM journal_head WHERE microgrid_id = $1`;
