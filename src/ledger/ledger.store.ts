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

/** Nearly all accounts are open already: to look first is cheaper than to meet a conflict a row. */
export const OPEN_ACCOUNTS = `
  INSERT INTO account (microgrid_id, account_id, asset, limited, credit_limit)
  SELECT $1::text, account, asset, limited, credit_limit
  FROM unnest($2::text[], $3::text[], $4::boolean[], $5::bigint[])
    AS opened (account, asset, limited, credit_limit)
  WHERE NOT EXISTS (
    SELECT FROM account known
    WHERE known.microgrid_id = $1::text AND known.account_id = opened.account)
  ON CONFLICT DO NOTHING
  RETURNING account_id AS "accountId"`;

/** Matches on the asset too: a row count short of the batch means that an account holds another. */
export const CHANGE_ACCOUNTS = `
  UPDATE account SET
    debits_pending = account.debits_pending + change.debits_pending,
    credits_pending = account.credits_pending + change.credits_pending,
    debits_posted = account.debits_posted + change.debits_posted,
    credits_posted = account.credits_posted + change.credits_posted
  FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS change (account, asset, debits_pending, credits_pending, debits_posted, credits_posted)
  WHERE account.microgrid_id = $1 AND account.account_id = change.account
    AND account.asset = change.asset
  RETURNING account.account_id AS "accountId"`;

export const OPEN_HOLDS = `
  SELECT held.transfer_id AS id, held.debit_account AS debit, held.credit_account AS credit,
    held.asset, held.amount
  FROM transfer held
  WHERE held.microgrid_id = $1 AND held.transfer_id = ANY ($2::text[]) AND held.state = 'pending'
    AND NOT EXISTS (
      SELECT FROM transfer resolved
      WHERE resolved.microgrid_id = held.microgrid_id AND resolved.pending_id = held.transfer_id)`;

export const INSERT_RECORD_HEADS = `
  INSERT INTO record_head (microgrid_id, sequence, kind, at, cause_hash, commitment)
  SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::bytea[], $6::bytea[])`;

export const INSERT_RECORD_BODIES = `
  INSERT INTO record_body (microgrid_id, sequence, key_holder, bytes)
  SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bytea[])`;

export const INSERT_RECORD_HOUSEHOLDS = `
  INSERT INTO record_household (microgrid_id, household_id, sequence)
  SELECT $1, * FROM unnest($2::text[], $3::bigint[])`;

export const INSERT_TRANSFERS = `
  INSERT INTO transfer (microgrid_id, transfer_id, sequence, line, debit_account, credit_account,
    asset, amount, code, state, pending_id)
  SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::integer[], $5::text[], $6::text[],
    $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[])`;

export const INSERT_LOG_ENTRIES = `
  INSERT INTO log_entry (microgrid_id, entry_index, entry)
  SELECT $1, * FROM unnest($2::bigint[], $3::bytea[])`;

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

export const READ_KEYS = `
  SELECT key_holder AS holder, key FROM record_key
  WHERE microgrid_id = $1 AND key_holder = ANY ($2::text[])`;

export const BALANCES = `
  SELECT account_id AS "accountId", debits_pending AS "debitsPending",
    credits_pending AS "creditsPending", debits_posted AS "debitsPosted",
    credits_posted AS "creditsPosted", limited, credit_limit AS "creditLimit"
  FROM account WHERE microgrid_id = $1 AND account_id = ANY ($2::text[])`;

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
