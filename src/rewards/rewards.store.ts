/** SQL of programs, consent, runs and awards. */

const PROGRAM = `
  program.program_id AS program, name, indicator, rate_micro_per_kwh AS "rateMicroPerKwh"`;

/** With what was put in first, to know a repeated request from another of the same id. */
export const PROGRAM_BY_ID = `
  SELECT ${PROGRAM}, pseudonym_key AS "pseudonymKey", funding.amount_micro AS "openingMicro"
  FROM program
  JOIN program_funding funding USING (microgrid_id, program_id)
  WHERE microgrid_id = $1 AND program_id = $2
  ORDER BY funding.sequence LIMIT 1`;

export const PROGRAMS = `
  SELECT ${PROGRAM} FROM program WHERE microgrid_id = $1 ORDER BY program_id`;

export const INSERT_PROGRAM = `
  INSERT INTO program (microgrid_id, program_id, name, created_by, indicator, rate_micro_per_kwh,
    pseudonym_key, sequence)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`;

export const FUNDING = `
  SELECT amount_micro AS "amountMicro" FROM program_funding
  WHERE microgrid_id = $1 AND program_id = $2 AND reference = $3`;

export const INSERT_FUNDING = `
  INSERT INTO program_funding (microgrid_id, program_id, reference, amount_micro, funded_by, sequence)
  VALUES ($1, $2, $3, $4, $5, $6)`;

export const OPEN_MEMBERSHIP = `
  SELECT household_id AS "householdId", pseudonym, joined_from AS "joinedFrom", left_at AS "leftAt"
  FROM program_member
  WHERE microgrid_id = $1 AND program_id = $2 AND household_id = $3 AND left_at IS NULL`;

/** Who left before a membership began and joins again renews that membership. */
export const JOIN = `
  INSERT INTO program_member (microgrid_id, program_id, household_id, pseudonym, consented_by,
    joined_from, sequence)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (microgrid_id, program_id, household_id, joined_from) DO UPDATE SET
    left_at = NULL, consented_by = excluded.consented_by, sequence = excluded.sequence`;

export const LEAVE = `
  UPDATE program_member SET left_at = $4
  WHERE microgrid_id = $1 AND program_id = $2 AND household_id = $3 AND left_at IS NULL`;

export const MEMBERS_BETWEEN = `
  SELECT household_id AS "householdId", pseudonym, joined_from AS "joinedFrom", left_at AS "leftAt"
  FROM program_member
  WHERE microgrid_id = $1 AND program_id = $2
    AND joined_from < $4 AND (left_at IS NULL OR left_at > $3)
  ORDER BY household_id, joined_from`;

const RUN = `
  period_from AS "periodFrom", period_to AS "periodTo", households, awarded_micro AS "awardedMicro"`;

/** Newest first, before the run that begins at $3; what its awards rest on, where all of them tell. */
export const RUNS = `
  SELECT ${RUN}, (
    SELECT jsonb_build_object('measuredWh', coalesce(sum(measured_wh), 0),
      'interpolatedWh', coalesce(sum(interpolated_wh), 0),
      'estimatedWh', coalesce(sum(estimated_wh), 0), 'missingWh', coalesce(sum(missing_wh), 0))
    FROM award
    WHERE award.microgrid_id = program_run.microgrid_id
      AND award.program_id = program_run.program_id
      AND award.period_from = program_run.period_from
    HAVING count(measured_wh) = count(*)) AS "byQuality"
  FROM program_run
  WHERE microgrid_id = $1 AND program_id = $2 AND ($3::timestamptz IS NULL OR period_from < $3)
  ORDER BY period_from DESC LIMIT $4`;

export const RUNS_BETWEEN = `
  SELECT period_from AS "from", period_to AS "to" FROM program_run
  WHERE microgrid_id = $1 AND program_id = $2 AND period_from < $4 AND period_to > $3`;

export const INSERT_RUN = `
  INSERT INTO program_run (microgrid_id, program_id, period_from, period_to, awarded_micro,
    households, first_sequence)
  VALUES ($1, $2, $3, $4, $5, $6, $7)`;

export const INSERT_AWARDS = `
  INSERT INTO award (microgrid_id, program_id, period_from, household_id, pseudonym, claimed_wh,
    amount_micro, measured_wh, interpolated_wh, estimated_wh, missing_wh, sequence)
  SELECT $1, $2, $3, * FROM unnest($4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])`;

const AWARD = `
  award.period_from AS "periodFrom", period_to AS "periodTo", claimed_wh AS "claimedWh",
  rate_micro_per_kwh AS "rateMicroPerKwh", amount_micro AS "amountMicro",
  CASE WHEN measured_wh IS NOT NULL THEN jsonb_build_object('measuredWh', measured_wh,
    'interpolatedWh', interpolated_wh, 'estimatedWh', estimated_wh, 'missingWh', missing_wh)
  END AS "byQuality"`;
const AWARD_ROWS = `award
  JOIN program_run run USING (microgrid_id, program_id, period_from)
  JOIN program USING (microgrid_id, program_id)`;

/** As a regulator sees them: newest run first, by pseudonym, after the position ($4, $5). */
export const AWARDS_OF_PROGRAM = `
  SELECT award.pseudonym, award.household_id AS "householdId", ${AWARD}
  FROM ${AWARD_ROWS}
  WHERE microgrid_id = $1 AND program_id = $2 AND ($3::timestamptz IS NULL OR period_from = $3)
    AND ($4::timestamptz IS NULL OR period_from < $4 OR (period_from = $4 AND award.pseudonym > $5))
  ORDER BY period_from DESC, award.pseudonym LIMIT $6`;

/** A household's own, in the slots of [$3, $4) that its reader may see; before sequence $5. */
export const AWARDS_OF_HOUSEHOLD = `
  SELECT program_id AS program, award.sequence, ${AWARD}
  FROM ${AWARD_ROWS}
  WHERE microgrid_id = $1 AND award.household_id = $2
    AND ($3::timestamptz IS NULL OR period_to > $3)
    AND ($4::timestamptz IS NULL OR period_from < $4)
    AND ($5::bigint IS NULL OR award.sequence < $5)
  ORDER BY award.sequence DESC LIMIT $6`;

/** Every program of the microgrid, with the household's latest membership if it has one. */
export const PROGRAMS_OF_HOUSEHOLD = `
  SELECT ${PROGRAM}, member.joined_from AS "joinedFrom", member.left_at AS "leftAt"
  FROM program
  LEFT JOIN LATERAL (
    SELECT joined_from, left_at FROM program_member
    WHERE program_member.microgrid_id = program.microgrid_id
      AND program_member.program_id = program.program_id AND household_id = $2
    ORDER BY joined_from DESC LIMIT 1
  ) member ON true
  WHERE microgrid_id = $1 ORDER BY program_id`;
