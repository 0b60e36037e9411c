/** SQL of erasing a household. It runs as the eraser; $1 is the microgrid, $2 the household. */

export const HOUSEHOLD = `
  SELECT microgrid_id AS "microgridId", active_from AS "activeFrom",
    active_until AS "activeUntil", household.credit_limit_micro AS "creditLimitMicro",
    correction_days AS "correctionDays",
    (SELECT sequence FROM erasure
      WHERE erasure.microgrid_id = household.microgrid_id
        AND erasure.household_id = household.household_id) AS "erasedBy"
  FROM household JOIN microgrid USING (microgrid_id)
  WHERE household_id = $1`;

/** How far slots are settled, the first slot of [$3, $4) that is not, and what is still open. */
export const FINALITY = `
  SELECT
    (SELECT max(slot_end) FROM slot
      WHERE microgrid_id = $1 AND status IN ('closed', 'quarantined')) AS "closedThrough",
    (SELECT min(slot_start) FROM slot
      WHERE microgrid_id = $1 AND slot_start >= $3 AND slot_start < $4 AND status <> 'closed')
      AS "unsettledSlot",
    EXISTS (SELECT FROM market_order
      WHERE microgrid_id = $1 AND household_id = $2 AND status = 'open') AS "hasOpenOrders"`;

/** $2 is a list of account ids. */
export const BALANCES = `
  SELECT account_id AS account, asset, debits_pending AS "debitsPending",
    credits_pending AS "creditsPending", debits_posted AS "debitsPosted",
    credits_posted AS "creditsPosted"
  FROM account WHERE microgrid_id = $1 AND account_id = ANY ($2::text[]) ORDER BY account_id`;

const OF_HOUSEHOLD = `microgrid_id = $1 AND household_id = $2`;

/** The records that its key salts. Every one of them concerns it, which is the way to find them. */
const OWN_SEQUENCES = `
  SELECT sequence FROM record_household JOIN record_body USING (microgrid_id, sequence)
  WHERE ${OF_HOUSEHOLD} AND key_holder = $2`;

export const RECORDS = `${OWN_SEQUENCES} ORDER BY sequence`;

export const NOTE = `
  INSERT INTO erasure (microgrid_id, household_id, sequence) VALUES ($1, $2, $3)
  ON CONFLICT DO NOTHING`;

const OWN_METERS = `SELECT meter_id FROM meter WHERE ${OF_HOUSEHOLD}`;

/** Payloads that no reading names, by their hashes, after $2. */
export const UNNAMED_PAYLOADS = `
  SELECT payload_hash AS hash, bytes FROM reading_payload
  WHERE microgrid_id = $1 AND payload_hash > $2
    AND NOT EXISTS (SELECT FROM reading
      WHERE reading.microgrid_id = $1 AND reading.payload_hash = reading_payload.payload_hash)
    AND NOT EXISTS (SELECT FROM reading_contradiction
      WHERE reading_contradiction.microgrid_id = $1
        AND reading_contradiction.payload_hash = reading_payload.payload_hash)
  ORDER BY payload_hash LIMIT $3`;

/** Of the values asked for, the places of those that the household's meters have kept. */
export const KEPT_HERE = `
  SELECT DISTINCT asked.place::integer FROM unnest($3::text[], $4::timestamptz[], $5::numeric[])
    WITH ORDINALITY AS asked (register, read_at, value_wh, place)
  CROSS JOIN (${OWN_METERS}) own
  JOIN (
    SELECT microgrid_id, meter_id, register, read_at, value_wh FROM reading
    UNION ALL
    SELECT microgrid_id, meter_id, register, read_at, value_wh FROM reading_contradiction
  ) kept ON kept.microgrid_id = $1 AND kept.meter_id = own.meter_id
    AND kept.register = asked.register AND kept.read_at = asked.read_at
    AND kept.value_wh = asked.value_wh`;

/** And of those that the meters of others have kept as well. */
export const KEPT_ELSEWHERE = `
  SELECT DISTINCT asked.place::integer FROM unnest($3::text[], $4::timestamptz[], $5::numeric[])
    WITH ORDINALITY AS asked (register, read_at, value_wh, place)
  CROSS JOIN (
    SELECT meter_id FROM meter WHERE microgrid_id = $1 AND household_id <> $2
  ) other
  JOIN reading kept ON kept.microgrid_id = $1 AND kept.meter_id = other.meter_id
    AND kept.register = asked.register AND kept.read_at = asked.read_at
    AND kept.value_wh = asked.value_wh`;

export const DELETE_PAYLOADS = `
  DELETE FROM reading_payload WHERE microgrid_id = $1 AND payload_hash = ANY ($2::bytea[])`;

/** Who has no grant but of this household, and whom nothing else names. */
export const PEOPLE = `
  SELECT DISTINCT person_id FROM person_grant own
  WHERE ${OF_HOUSEHOLD}
    AND NOT EXISTS (SELECT FROM person_grant other WHERE other.person_id = own.person_id
      AND (other.microgrid_id, other.household_id) IS DISTINCT FROM (own.microgrid_id, own.household_id))
    AND NOT EXISTS (SELECT FROM program WHERE created_by = own.person_id)
    AND NOT EXISTS (SELECT FROM program_funding WHERE funded_by = own.person_id)
    AND NOT EXISTS (SELECT FROM regulator_query WHERE regulator_query.person_id = own.person_id)
    AND NOT EXISTS (SELECT FROM program_member WHERE consented_by = own.person_id
      AND (microgrid_id, household_id) IS DISTINCT FROM (own.microgrid_id, own.household_id))`;

/** Whose rows a step removes. Of `both`, $3 are the people; of `people`, $1. */
type Whose = 'household' | 'people' | 'both';

/**
 * What is erased, in this order, under the name by which it is counted. Every statement answers how
 * many rows it removed. People are those whose only grant was this household.
 */
export const STEPS: readonly { what: string; whose: Whose; text: string }[] = [
  {
    // A payload that readings of others name too, having sent the same bytes, stays with them.
    what: 'readings',
    whose: 'household',
    text: `
      WITH own AS (${OWN_METERS}), gone AS (
        DELETE FROM reading WHERE microgrid_id = $1 AND meter_id IN (SELECT meter_id FROM own)
        RETURNING payload_hash
      ), contradicting AS (
        DELETE FROM reading_contradiction
        WHERE microgrid_id = $1 AND meter_id IN (SELECT meter_id FROM own)
        RETURNING payload_hash
      ), payloads AS (
        DELETE FROM reading_payload
        WHERE microgrid_id = $1
          AND payload_hash IN (SELECT * FROM gone UNION SELECT * FROM contradicting)
          AND NOT EXISTS (SELECT FROM reading
            WHERE reading.microgrid_id = $1 AND reading.payload_hash = reading_payload.payload_hash
              AND reading.meter_id NOT IN (SELECT meter_id FROM own))
          AND NOT EXISTS (SELECT FROM reading_contradiction other
            WHERE other.microgrid_id = $1 AND other.payload_hash = reading_payload.payload_hash
              AND other.meter_id NOT IN (SELECT meter_id FROM own))
      )
      SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM contradicting) AS count`,
  },
  {
    what: 'alarms',
    whose: 'household',
    text: counted(`
      DELETE FROM market_alarm WHERE microgrid_id = $1 AND $2 = ANY (households::text[])`),
  },
  ofMeters('borders', 'register_border'),
  ofMeters('suspectReadings', 'suspect_reading'),
  ofMeters('exchanges', 'meter_exchange'),
  ofMeters('lateReadings', 'late_reading'),
  ofMeters('rejections', 'rejection'),
  ofHousehold('measurements', 'measurement'),
  ofHousehold('settlements', 'settlement'),
  ofHousehold('trueUps', 'true_up'),
  ofHousehold('awards', 'award'),
  ofHousehold('memberships', 'program_member'),
  ofHousehold('limits', 'standing_order'),
  ofHousehold('orders', 'market_order'),
  ofHousehold('lots', 'storage_lot'),
  ofHousehold('strategies', 'household_strategy'),
  {
    what: 'regulatorAnswers',
    whose: 'household',
    text: counted(`
      UPDATE regulator_answer SET energies = (
        SELECT array_agg(CASE WHEN one.household = $2 THEN '' ELSE one.energy END ORDER BY one.place)
        FROM unnest(households::text[], energies)
          WITH ORDINALITY AS one (household, energy, place))
      WHERE microgrid_id = $1 AND $2 = ANY (households::text[])
        AND energies[array_position(households::text[], $2::text)] <> ''`),
  },
  {
    what: 'records',
    whose: 'household',
    text: counted(`
      DELETE FROM record_body
      WHERE microgrid_id = $1 AND sequence IN (${OWN_SEQUENCES})`),
  },
  {
    what: 'keys',
    whose: 'household',
    text: counted(`DELETE FROM record_key WHERE microgrid_id = $1 AND key_holder = $2`),
  },
  {
    what: 'invitations',
    whose: 'both',
    text: counted(`
      DELETE FROM invitation WHERE (${OF_HOUSEHOLD}) OR person_id = ANY ($3::text[])`),
  },
  {
    what: 'grants',
    whose: 'household',
    text: counted(`DELETE FROM person_grant WHERE ${OF_HOUSEHOLD}`),
  },
  ofPeople('sessions', 'session'),
  ofPeople('people', 'person'),
  ofPeople('names', 'party', 'party_id'),
  {
    what: 'credentials',
    whose: 'household',
    text: counted(`
      DELETE FROM mqtt_credential
      WHERE microgrid_id = $1 AND (username = $2 OR username IN (${OWN_METERS}))`),
  },
  ofMeters('meterKeys', 'meter_key'),
  ofMeters('counters', 'meter_counter'),
  ofMeters('profiles', 'meter_profile'),
  ofMeters('claimCodes', 'meter_claim'),
  ofHousehold('meters', 'meter'),
];

/** The row stays, for the others' trades name it; all that it tells of somebody goes. */
export const FORGET_HOUSEHOLD = `
  UPDATE household SET alias = $3, feeder = NULL, import_limit_w = NULL, export_limit_w = NULL,
    share_parts = 1, share_rank = 0
  WHERE ${OF_HOUSEHOLD}`;

/** Every erasure that the journals tell of. */
export const ERASURES = `
  SELECT head.microgrid_id AS "microgridId", head.sequence, body.bytes
  FROM record_head head JOIN record_body body USING (microgrid_id, sequence)
  WHERE head.kind = 'erasure' AND ($1::text IS NULL OR head.microgrid_id = $1)
  ORDER BY head.microgrid_id, head.sequence`;

/** Tables that name households, meters or people, and keep what they say of an erased one: why. */
export const STAYS: Readonly<Record<string, string>> = {
  record_household: 'which records concerned it: heads and commitments stay, and proofs of them',
  erasure: 'that it was erased',
  trade: "a trade is the neighbor's too",
  trade_settlement: "a trade is the neighbor's too",
  household: 'its row is blanked: trades of others show a counterpart',
  party: 'ids of households and meters are pseudonyms, and are never given again',
  program_run: 'what a run awarded in all, and to how many',
  regulator_query: 'the log of questions: that it stood behind an answer',
};

function ofHousehold(what: string, table: string) {
  const text = counted(`DELETE FROM ${table} WHERE ${OF_HOUSEHOLD}`);
  return { what, whose: 'household' as const, text };
}

function ofMeters(what: string, table: string) {
  const text = `DELETE FROM ${table} WHERE microgrid_id = $1 AND meter_id IN (${OWN_METERS})`;
  return { what, whose: 'household' as const, text: counted(text) };
}

function ofPeople(what: string, table: string, column = 'person_id') {
  const text = counted(`DELETE FROM ${table} WHERE ${column} = ANY ($1::text[])`);
  return { what, whose: 'people' as const, text };
}

function counted(statement: string): string {
  return `WITH gone AS (${statement} RETURNING 1) SELECT count(*) AS count FROM gone`;
}
