-- The schema that the migrations make. Written by test/database/schema.spec.ts under UPDATE_SCHEMA=1:
-- change a schema by a new migration, never here.

CREATE DOMAIN ident AS text CONSTRAINT ident_characters CHECK (VALUE ~ '^[A-Za-z0-9_-]+$'::text) CONSTRAINT ident_length CHECK (length(VALUE) <= 64);

CREATE DOMAIN safe_integer AS bigint CONSTRAINT safe_integer_check CHECK (VALUE >= '-9007199254740991'::bigint AND VALUE <= '9007199254740991'::bigint);

CREATE OR REPLACE FUNCTION public.only_of_erased()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
DECLARE
  kept text;
BEGIN
  EXECUTE CASE TG_ARGV[0]
    WHEN 'meter_id' THEN
      'SELECT gone.meter_id FROM gone LEFT JOIN meter USING (microgrid_id, meter_id)
       LEFT JOIN erasure USING (microgrid_id, household_id) WHERE erasure.sequence IS NULL LIMIT 1'
    ELSE
      format('SELECT gone.%1$I FROM gone LEFT JOIN erasure ON erasure.microgrid_id = gone.microgrid_id
         AND erasure.household_id = gone.%1$I WHERE erasure.sequence IS NULL LIMIT 1', TG_ARGV[0])
    END INTO kept;
  IF kept IS NOT NULL THEN
    RAISE EXCEPTION 'DELETE of % refused: % was not erased', TG_TABLE_NAME, quote_literal(kept);
  END IF;
  RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.only_people()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF EXISTS (SELECT FROM gone WHERE kind <> 'person') THEN
    RAISE EXCEPTION 'DELETE of party refused: only the ids of people are forgotten';
  END IF;
  RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.only_unnamed_payloads()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF EXISTS (SELECT FROM gone JOIN reading USING (microgrid_id, payload_hash))
    OR EXISTS (SELECT FROM gone JOIN reading_contradiction USING (microgrid_id, payload_hash)) THEN
    RAISE EXCEPTION 'DELETE of reading_payload refused: a reading still names it';
  END IF;
  RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  RAISE EXCEPTION '% of % refused: it is insert-only; post a correcting record instead', TG_OP, TG_TABLE_NAME;
END $function$;

CREATE OR REPLACE FUNCTION public.refuse_key_of_erased()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF EXISTS (SELECT FROM erasure
    WHERE microgrid_id = NEW.microgrid_id AND household_id = NEW.key_holder) THEN
    RAISE EXCEPTION 'household % was erased: no record of it can be made any more', NEW.key_holder;
  END IF;
  RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.refuse_unless_erasing()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF current_user <> 'neighborwatt_eraser' THEN
    RAISE EXCEPTION '% of % refused: it is insert-only; the rows of an erased household are removed by npm run operator -- erase',
      TG_OP, TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $function$;

CREATE TABLE account (
  microgrid_id ident NOT NULL,
  account_id text NOT NULL,
  asset text NOT NULL,
  debits_pending safe_integer DEFAULT 0 NOT NULL,
  credits_pending safe_integer DEFAULT 0 NOT NULL,
  debits_posted safe_integer DEFAULT 0 NOT NULL,
  credits_posted safe_integer DEFAULT 0 NOT NULL,
  limited boolean DEFAULT false NOT NULL,
  credit_limit safe_integer DEFAULT 0 NOT NULL,
  version safe_integer DEFAULT 0 NOT NULL,
  debit_limit safe_integer,
  CONSTRAINT account_pkey PRIMARY KEY (microgrid_id, account_id),
  CONSTRAINT account_account_id_check CHECK (length(account_id) <= 160 AND account_id ~ '^[A-Za-z0-9_/-]+$'::text),
  CONSTRAINT account_credit_limit_check CHECK (credit_limit::bigint >= 0),
  CONSTRAINT account_credits_pending_check CHECK (credits_pending::bigint >= 0),
  CONSTRAINT account_credits_posted_check CHECK (credits_posted::bigint >= 0),
  CONSTRAINT account_debit_limit_check CHECK (debit_limit::bigint >= 0),
  CONSTRAINT account_debits_pending_check CHECK (debits_pending::bigint >= 0),
  CONSTRAINT account_debits_posted_check CHECK (debits_posted::bigint >= 0),
  CONSTRAINT account_version_check CHECK (version::bigint >= 0),
  CONSTRAINT account_within_debit_limit CHECK ((credits_pending::bigint + credits_posted::bigint) <= (debits_posted::bigint + debit_limit::bigint)),
  CONSTRAINT account_within_limit CHECK (NOT limited OR (debits_pending::bigint + debits_posted::bigint) <= (credits_posted::bigint + credit_limit::bigint))
);

CREATE TABLE autopilot (
  microgrid_id ident NOT NULL,
  quoted_through timestamp with time zone NOT NULL,
  CONSTRAINT autopilot_pkey PRIMARY KEY (microgrid_id)
);

CREATE TABLE award (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  period_from timestamp with time zone NOT NULL,
  household_id ident NOT NULL,
  pseudonym text NOT NULL,
  claimed_wh safe_integer NOT NULL,
  amount_micro safe_integer NOT NULL,
  sequence safe_integer NOT NULL,
  measured_wh safe_integer,
  interpolated_wh safe_integer,
  estimated_wh safe_integer,
  missing_wh safe_integer,
  CONSTRAINT award_pkey PRIMARY KEY (microgrid_id, program_id, period_from, household_id),
  CONSTRAINT award_check CHECK (num_nulls(measured_wh, interpolated_wh, estimated_wh, missing_wh) = ANY (ARRAY[0, 4])),
  CONSTRAINT award_estimated_wh_check CHECK (estimated_wh::bigint >= 0),
  CONSTRAINT award_interpolated_wh_check CHECK (interpolated_wh::bigint >= 0),
  CONSTRAINT award_measured_wh_check CHECK (measured_wh::bigint >= 0),
  CONSTRAINT award_missing_wh_check CHECK (missing_wh::bigint >= 0)
);

CREATE TABLE checkpoint (
  microgrid_id ident NOT NULL,
  size safe_integer NOT NULL,
  root bytea NOT NULL,
  note text NOT NULL,
  CONSTRAINT checkpoint_pkey PRIMARY KEY (microgrid_id, size),
  CONSTRAINT checkpoint_root_check CHECK (octet_length(root) = 32)
);

CREATE TABLE erasure (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  CONSTRAINT erasure_pkey PRIMARY KEY (microgrid_id, household_id)
);

CREATE TABLE failed_id (
  microgrid_id ident NOT NULL,
  id text NOT NULL,
  CONSTRAINT failed_id_pkey PRIMARY KEY (microgrid_id, id),
  CONSTRAINT failed_id_id_check CHECK (id ~ '^([0-9a-f]{32}|[0-9a-f]{64})$'::text)
);

CREATE TABLE feed_cursor (
  microgrid_id ident NOT NULL,
  consumer text NOT NULL,
  sequence safe_integer NOT NULL,
  CONSTRAINT feed_cursor_pkey PRIMARY KEY (microgrid_id, consumer),
  CONSTRAINT feed_cursor_sequence_check CHECK (sequence::bigint >= 0)
);

CREATE TABLE gateway (
  microgrid_id ident NOT NULL,
  gateway_id ident NOT NULL,
  CONSTRAINT gateway_pkey PRIMARY KEY (microgrid_id, gateway_id),
  CONSTRAINT gateway_gateway_id_key UNIQUE (gateway_id)
);

CREATE TABLE hold_timeout (
  microgrid_id ident NOT NULL,
  transfer_id text NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT hold_timeout_pkey PRIMARY KEY (microgrid_id, transfer_id)
);

CREATE TABLE household (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  alias text NOT NULL,
  feeder text,
  import_limit_w integer,
  export_limit_w integer,
  credit_limit_micro safe_integer DEFAULT 0 NOT NULL,
  active_from timestamp with time zone NOT NULL,
  active_until timestamp with time zone,
  share_parts integer DEFAULT 1 NOT NULL,
  share_rank smallint DEFAULT 0 NOT NULL,
  CONSTRAINT household_pkey PRIMARY KEY (microgrid_id, household_id),
  CONSTRAINT household_household_id_key UNIQUE (household_id),
  CONSTRAINT household_microgrid_id_alias_key UNIQUE (microgrid_id, alias),
  CONSTRAINT household_credit_limit_micro_check CHECK (credit_limit_micro::bigint >= 0),
  CONSTRAINT household_export_limit_w_check CHECK (export_limit_w > 0),
  CONSTRAINT household_import_limit_w_check CHECK (import_limit_w > 0),
  CONSTRAINT household_share_parts_check CHECK (share_parts >= 0),
  CONSTRAINT household_share_rank_check CHECK (share_rank >= 0)
);

CREATE TABLE household_strategy (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  strategy text NOT NULL,
  enabled boolean NOT NULL,
  valid_from timestamp with time zone NOT NULL,
  state jsonb DEFAULT '{}'::jsonb NOT NULL,
  plan jsonb DEFAULT '[]'::jsonb NOT NULL,
  CONSTRAINT household_strategy_pkey PRIMARY KEY (microgrid_id, household_id),
  CONSTRAINT household_strategy_strategy_check CHECK (strategy ~ '^[a-z][a-z-]{0,39}$'::text)
);

CREATE TABLE invitation (
  token_hash bytea NOT NULL,
  purpose text NOT NULL,
  person_id ident,
  role text,
  microgrid_id ident,
  household_id ident,
  valid_from timestamp with time zone,
  expires_at timestamp with time zone NOT NULL,
  used_at timestamp with time zone,
  CONSTRAINT invitation_pkey PRIMARY KEY (token_hash),
  CONSTRAINT invitation_purpose_check CHECK (purpose = ANY (ARRAY['invitation'::text, 'password-reset'::text]))
);

CREATE TABLE journal_head (
  microgrid_id ident NOT NULL,
  sequence safe_integer DEFAULT 0 NOT NULL,
  log_edge bytea DEFAULT '\x'::bytea NOT NULL,
  lease_holder text,
  lease_epoch bigint DEFAULT 0 NOT NULL,
  lease_until timestamp with time zone,
  CONSTRAINT journal_head_pkey PRIMARY KEY (microgrid_id),
  CONSTRAINT journal_head_sequence_check CHECK (sequence::bigint >= 0)
);

CREATE TABLE late_reading (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  read_at timestamp with time zone NOT NULL,
  times integer DEFAULT 1 NOT NULL,
  CONSTRAINT late_reading_pkey PRIMARY KEY (microgrid_id, meter_id, register, read_at)
);

CREATE TABLE log_entry (
  microgrid_id ident NOT NULL,
  entry_index safe_integer NOT NULL,
  entry bytea NOT NULL,
  CONSTRAINT log_entry_pkey PRIMARY KEY (microgrid_id, entry_index),
  CONSTRAINT log_entry_entry_check CHECK (octet_length(entry) = 33),
  CONSTRAINT log_entry_entry_index_check CHECK (entry_index::bigint >= 0)
);

CREATE TABLE log_policy (
  microgrid_id ident NOT NULL,
  policy_hash bytea NOT NULL,
  policy bytea NOT NULL,
  CONSTRAINT log_policy_pkey PRIMARY KEY (microgrid_id, policy_hash),
  CONSTRAINT log_policy_policy_hash_check CHECK (octet_length(policy_hash) = 32)
);

CREATE TABLE log_tile (
  microgrid_id ident NOT NULL,
  level smallint NOT NULL,
  tile safe_integer NOT NULL,
  hashes bytea NOT NULL,
  CONSTRAINT log_tile_pkey PRIMARY KEY (microgrid_id, level, tile),
  CONSTRAINT log_tile_hashes_check CHECK (octet_length(hashes) >= 32 AND octet_length(hashes) <= 8192 AND (octet_length(hashes) % 32) = 0)
);

CREATE TABLE manifest_state (
  microgrid_id ident NOT NULL,
  state text NOT NULL,
  CONSTRAINT manifest_state_pkey PRIMARY KEY (microgrid_id)
);

CREATE TABLE market_alarm (
  microgrid_id ident NOT NULL,
  alarm_id text NOT NULL,
  kind text NOT NULL,
  severity text NOT NULL,
  from_slot timestamp with time zone NOT NULL,
  until_slot timestamp with time zone NOT NULL,
  households ident[] NOT NULL,
  street_households integer NOT NULL,
  reason text NOT NULL,
  evidence jsonb NOT NULL,
  CONSTRAINT market_alarm_pkey PRIMARY KEY (microgrid_id, alarm_id),
  CONSTRAINT market_alarm_alarm_id_check CHECK (alarm_id ~ '^[0-9a-f]{32}$'::text),
  CONSTRAINT market_alarm_kind_check CHECK (kind = ANY (ARRAY['wash-trades'::text, 'linked-trades'::text, 'circular-trades'::text, 'price-setter'::text])),
  CONSTRAINT market_alarm_severity_check CHECK (severity = ANY (ARRAY['notice'::text, 'warning'::text, 'serious'::text]))
);

CREATE TABLE market_clock (
  only_row boolean DEFAULT true NOT NULL,
  now timestamp with time zone NOT NULL,
  CONSTRAINT market_clock_pkey PRIMARY KEY (only_row),
  CONSTRAINT market_clock_only_row_check CHECK (only_row)
);

CREATE TABLE market_order (
  microgrid_id ident NOT NULL,
  order_id text NOT NULL,
  household_id ident NOT NULL,
  slot_start timestamp with time zone NOT NULL,
  side text NOT NULL,
  energy_wh safe_integer NOT NULL,
  price_micro_per_kwh safe_integer NOT NULL,
  delivery text NOT NULL,
  status text NOT NULL,
  filled_wh safe_integer DEFAULT 0 NOT NULL,
  idempotency_key text NOT NULL,
  request_hash bytea NOT NULL,
  hold_id text,
  sequence safe_integer NOT NULL,
  placed_by ident NOT NULL,
  time_in_force text DEFAULT 'gtc'::text NOT NULL,
  CONSTRAINT market_order_pkey PRIMARY KEY (microgrid_id, order_id),
  CONSTRAINT market_order_microgrid_id_placed_by_idempotency_key_key UNIQUE (microgrid_id, placed_by, idempotency_key),
  CONSTRAINT market_order_check CHECK (filled_wh::bigint >= 0 AND filled_wh::bigint <= energy_wh::bigint),
  CONSTRAINT market_order_delivery_check CHECK (delivery = ANY (ARRAY['delivered'::text, 'firm'::text])),
  CONSTRAINT market_order_energy_wh_check CHECK (energy_wh::bigint > 0),
  CONSTRAINT market_order_order_id_check CHECK (length(order_id) = 32 AND order_id ~ '^[0-9a-f]+$'::text),
  CONSTRAINT market_order_price_micro_per_kwh_check CHECK (price_micro_per_kwh::bigint >= 0),
  CONSTRAINT market_order_side_check CHECK (side = ANY (ARRAY['bid'::text, 'ask'::text])),
  CONSTRAINT market_order_status_check CHECK (status = ANY (ARRAY['open'::text, 'filled'::text, 'partly-filled'::text, 'unfilled'::text, 'cancelled'::text])),
  CONSTRAINT market_order_time_in_force_check CHECK (time_in_force = ANY (ARRAY['gtc'::text, 'ioc'::text, 'fok'::text]))
);

CREATE TABLE market_watch (
  microgrid_id ident NOT NULL,
  watched_through timestamp with time zone NOT NULL,
  pseudonym_key uuid DEFAULT gen_random_uuid() NOT NULL,
  CONSTRAINT market_watch_pkey PRIMARY KEY (microgrid_id)
);

CREATE TABLE measurement (
  microgrid_id ident NOT NULL,
  slot_start timestamp with time zone NOT NULL,
  household_id ident NOT NULL,
  revision smallint DEFAULT 0 NOT NULL,
  sequence safe_integer NOT NULL,
  import_wh safe_integer NOT NULL,
  export_wh safe_integer NOT NULL,
  generated_wh safe_integer NOT NULL,
  charged_wh safe_integer NOT NULL,
  discharged_wh safe_integer NOT NULL,
  consumption_wh safe_integer NOT NULL,
  unexplained_wh safe_integer NOT NULL,
  quality text NOT NULL,
  CONSTRAINT measurement_pkey PRIMARY KEY (microgrid_id, slot_start, household_id, revision),
  CONSTRAINT measurement_quality_check CHECK (quality = ANY (ARRAY['measured'::text, 'interpolated'::text, 'estimated'::text, 'missing'::text]))
);

CREATE TABLE meter (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  household_id ident NOT NULL,
  role text NOT NULL,
  usable_wh safe_integer,
  gateway_id ident,
  active_from timestamp with time zone NOT NULL,
  active_until timestamp with time zone,
  CONSTRAINT meter_pkey PRIMARY KEY (microgrid_id, meter_id),
  CONSTRAINT meter_meter_id_key UNIQUE (meter_id),
  CONSTRAINT meter_check CHECK ((role = 'storage'::text) = (usable_wh IS NOT NULL)),
  CONSTRAINT meter_role_check CHECK (role = ANY (ARRAY['grid'::text, 'generation'::text, 'storage'::text])),
  CONSTRAINT meter_usable_wh_check CHECK (usable_wh::bigint > 0)
);

CREATE TABLE meter_claim (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  code_hash text NOT NULL,
  made_at timestamp with time zone DEFAULT now() NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  used_at timestamp with time zone,
  read_before timestamp with time zone,
  CONSTRAINT meter_claim_pkey PRIMARY KEY (microgrid_id, meter_id)
);

CREATE TABLE meter_counter (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  key_number integer NOT NULL,
  context text NOT NULL,
  counter safe_integer NOT NULL,
  CONSTRAINT meter_counter_pkey PRIMARY KEY (microgrid_id, meter_id, key_number, context)
);

CREATE TABLE meter_exchange (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  exchanged_at timestamp with time zone NOT NULL,
  old_final_wh numeric NOT NULL,
  new_first_wh numeric NOT NULL,
  sequence safe_integer NOT NULL,
  CONSTRAINT meter_exchange_pkey PRIMARY KEY (microgrid_id, meter_id, register, exchanged_at),
  CONSTRAINT meter_exchange_new_first_wh_check CHECK (new_first_wh >= 0::numeric),
  CONSTRAINT meter_exchange_old_final_wh_check CHECK (old_final_wh >= 0::numeric),
  CONSTRAINT meter_exchange_register_check CHECK (register = ANY (ARRAY['import'::text, 'export'::text]))
);

CREATE TABLE meter_key (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  number integer NOT NULL,
  public_key bytea,
  registered_at timestamp with time zone NOT NULL,
  CONSTRAINT meter_key_pkey PRIMARY KEY (microgrid_id, meter_id, number),
  CONSTRAINT meter_key_number_check CHECK (number >= 1),
  CONSTRAINT meter_key_public_key_check CHECK (octet_length(public_key) >= 32 AND octet_length(public_key) <= 512)
);

CREATE TABLE meter_profile (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  profile text NOT NULL,
  topic text NOT NULL,
  mapping text,
  CONSTRAINT meter_profile_pkey PRIMARY KEY (microgrid_id, meter_id),
  CONSTRAINT meter_profile_profile_check CHECK (profile ~ '^[a-z][a-z0-9-]{0,39}$'::text AND profile <> 'native'::text),
  CONSTRAINT meter_profile_topic_check CHECK (topic ~ '^[^$+#][^+#]{0,199}$'::text)
);

CREATE TABLE microgrid (
  microgrid_id ident NOT NULL,
  name text NOT NULL,
  time_zone text DEFAULT 'UTC'::text NOT NULL,
  currency text NOT NULL,
  slot_minutes smallint DEFAULT 15 NOT NULL,
  mechanism text DEFAULT 'metered'::text NOT NULL,
  pricing text DEFAULT 'clearing'::text NOT NULL,
  price_k_thousandths smallint DEFAULT 500 NOT NULL,
  grace_seconds integer DEFAULT 300 NOT NULL,
  gate_closure_seconds integer DEFAULT 0 NOT NULL,
  correction_days smallint DEFAULT 14 NOT NULL,
  unexplained_tolerance_wh integer DEFAULT 10 NOT NULL,
  credit_limit_micro safe_integer DEFAULT 0 NOT NULL,
  starts_at timestamp with time zone NOT NULL,
  rationing text DEFAULT 'pro-rata'::text NOT NULL,
  sharing_key text DEFAULT 'dynamic'::text NOT NULL,
  sharing_price_micro_per_kwh safe_integer,
  CONSTRAINT microgrid_pkey PRIMARY KEY (microgrid_id),
  CONSTRAINT microgrid_check CHECK ((pricing = 'fixed'::text) = (sharing_price_micro_per_kwh IS NOT NULL)),
  CONSTRAINT microgrid_correction_days_check CHECK (correction_days >= 0 AND correction_days <= 366),
  CONSTRAINT microgrid_credit_limit_micro_check CHECK (credit_limit_micro::bigint >= 0),
  CONSTRAINT microgrid_currency_check CHECK (currency ~ '^[A-Z]{3}$'::text),
  CONSTRAINT microgrid_gate_closure_seconds_check CHECK (gate_closure_seconds >= 0 AND gate_closure_seconds <= 86400),
  CONSTRAINT microgrid_grace_seconds_check CHECK (grace_seconds >= 0 AND grace_seconds <= 86400),
  CONSTRAINT microgrid_mechanism_check CHECK (mechanism = ANY (ARRAY['metered'::text, 'call-auction'::text, 'continuous'::text, 'sharing'::text])),
  CONSTRAINT microgrid_price_k_thousandths_check CHECK (price_k_thousandths >= 0 AND price_k_thousandths <= 1000),
  CONSTRAINT microgrid_pricing_check CHECK (pricing = ANY (ARRAY['clearing'::text, 'mid-market'::text, 'supply-demand-ratio'::text, 'pay-as-bid'::text, 'fixed'::text])),
  CONSTRAINT microgrid_rationing_check CHECK (rationing = ANY (ARRAY['time'::text, 'pro-rata'::text, 'max-min'::text])),
  CONSTRAINT microgrid_sharing_key_check CHECK (sharing_key = ANY (ARRAY['static'::text, 'dynamic'::text, 'hybrid'::text, 'cascade'::text])),
  CONSTRAINT microgrid_sharing_price_micro_per_kwh_check CHECK (sharing_price_micro_per_kwh::bigint >= 0),
  CONSTRAINT microgrid_slot_minutes_check CHECK (slot_minutes = ANY (ARRAY[5, 15, 30, 60]))
);

CREATE TABLE mqtt_credential (
  username ident NOT NULL,
  kind text NOT NULL,
  microgrid_id ident,
  secret_hash text NOT NULL,
  changes integer DEFAULT 0 NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  revoked_at timestamp with time zone,
  CONSTRAINT mqtt_credential_pkey PRIMARY KEY (username),
  CONSTRAINT mqtt_credential_kind_check CHECK (kind = ANY (ARRAY['service'::text, 'meter'::text, 'household'::text, 'gateway'::text]))
);

CREATE TABLE network_node (
  microgrid_id ident NOT NULL,
  valid_from timestamp with time zone NOT NULL,
  node_id text NOT NULL,
  parent_id text,
  fee_micro_per_kwh safe_integer NOT NULL,
  capacity_up_w integer,
  capacity_down_w integer,
  CONSTRAINT network_node_pkey PRIMARY KEY (microgrid_id, valid_from, node_id),
  CONSTRAINT network_node_capacity_down_w_check CHECK (capacity_down_w >= 0),
  CONSTRAINT network_node_capacity_up_w_check CHECK (capacity_up_w >= 0),
  CONSTRAINT network_node_check CHECK (parent_id IS NOT NULL OR fee_micro_per_kwh::bigint = 0 AND capacity_up_w IS NULL AND capacity_down_w IS NULL),
  CONSTRAINT network_node_fee_micro_per_kwh_check CHECK (fee_micro_per_kwh::bigint >= 0),
  CONSTRAINT network_node_node_id_check CHECK (char_length(node_id) >= 1 AND char_length(node_id) <= 60)
);

CREATE TABLE party (
  party_id ident NOT NULL,
  kind text NOT NULL,
  CONSTRAINT party_pkey PRIMARY KEY (party_id),
  CONSTRAINT party_kind_check CHECK (kind = ANY (ARRAY['meter'::text, 'gateway'::text, 'household'::text, 'person'::text, 'service'::text]))
);

CREATE TABLE person (
  person_id ident NOT NULL,
  name text NOT NULL,
  password_hash text,
  password_must_change boolean DEFAULT false NOT NULL,
  disabled_at timestamp with time zone,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT person_pkey PRIMARY KEY (person_id)
);

CREATE TABLE person_grant (
  grant_id uuid DEFAULT gen_random_uuid() NOT NULL,
  person_id ident NOT NULL,
  role text NOT NULL,
  microgrid_id ident,
  household_id ident,
  valid_from timestamp with time zone NOT NULL,
  valid_until timestamp with time zone,
  CONSTRAINT person_grant_pkey PRIMARY KEY (grant_id),
  CONSTRAINT person_grant_check CHECK ((role = 'household'::text) = (household_id IS NOT NULL)),
  CONSTRAINT person_grant_role_check CHECK (role = ANY (ARRAY['household'::text, 'operator'::text, 'regulator'::text, 'auditor'::text, 'simulator'::text]))
);

CREATE TABLE program (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  name text NOT NULL,
  created_by ident NOT NULL,
  indicator text NOT NULL,
  rate_micro_per_kwh safe_integer NOT NULL,
  pseudonym_key bytea NOT NULL,
  sequence safe_integer NOT NULL,
  CONSTRAINT program_pkey PRIMARY KEY (microgrid_id, program_id),
  CONSTRAINT program_indicator_check CHECK (indicator = 'neighbor-claimed'::text),
  CONSTRAINT program_pseudonym_key_check CHECK (octet_length(pseudonym_key) = 32),
  CONSTRAINT program_rate_micro_per_kwh_check CHECK (rate_micro_per_kwh::bigint > 0)
);

CREATE TABLE program_funding (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  reference ident NOT NULL,
  amount_micro safe_integer NOT NULL,
  funded_by ident NOT NULL,
  sequence safe_integer NOT NULL,
  CONSTRAINT program_funding_pkey PRIMARY KEY (microgrid_id, program_id, reference),
  CONSTRAINT program_funding_amount_micro_check CHECK (amount_micro::bigint > 0)
);

CREATE TABLE program_member (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  household_id ident NOT NULL,
  pseudonym text NOT NULL,
  consented_by ident NOT NULL,
  joined_from timestamp with time zone NOT NULL,
  left_at timestamp with time zone,
  sequence safe_integer NOT NULL,
  CONSTRAINT program_member_pkey PRIMARY KEY (microgrid_id, program_id, household_id, joined_from),
  CONSTRAINT program_member_microgrid_id_program_id_pseudonym_joined_fro_key UNIQUE (microgrid_id, program_id, pseudonym, joined_from),
  CONSTRAINT program_member_check CHECK (left_at >= joined_from)
);

CREATE TABLE program_run (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  period_from timestamp with time zone NOT NULL,
  period_to timestamp with time zone NOT NULL,
  awarded_micro safe_integer NOT NULL,
  households integer NOT NULL,
  first_sequence safe_integer NOT NULL,
  CONSTRAINT program_run_pkey PRIMARY KEY (microgrid_id, program_id, period_from),
  CONSTRAINT program_run_check CHECK (period_from < period_to)
);

CREATE TABLE publication (
  microgrid_id ident NOT NULL,
  size safe_integer NOT NULL,
  note text NOT NULL,
  policy_hash bytea NOT NULL,
  CONSTRAINT publication_pkey PRIMARY KEY (microgrid_id, size)
);

CREATE TABLE reading (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  read_at timestamp with time zone NOT NULL,
  value_wh numeric(18,6) NOT NULL,
  power_w integer,
  payload_hash bytea NOT NULL,
  CONSTRAINT reading_pkey PRIMARY KEY (microgrid_id, meter_id, register, read_at),
  CONSTRAINT reading_register_check CHECK (register = ANY (ARRAY['import'::text, 'export'::text])),
  CONSTRAINT reading_value_wh_check CHECK (value_wh >= 0::numeric)
);

CREATE TABLE reading_contradiction (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  read_at timestamp with time zone NOT NULL,
  value_wh numeric(18,6) NOT NULL,
  payload_hash bytea NOT NULL,
  CONSTRAINT reading_contradiction_pkey PRIMARY KEY (microgrid_id, meter_id, register, read_at, value_wh)
);

CREATE TABLE reading_payload (
  microgrid_id ident NOT NULL,
  payload_hash bytea NOT NULL,
  bytes bytea NOT NULL,
  received_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT reading_payload_pkey PRIMARY KEY (microgrid_id, payload_hash),
  CONSTRAINT reading_payload_payload_hash_check CHECK (octet_length(payload_hash) = 32)
);

CREATE TABLE record_body (
  microgrid_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  key_holder text NOT NULL,
  bytes bytea NOT NULL,
  CONSTRAINT record_body_pkey PRIMARY KEY (microgrid_id, sequence)
);

CREATE TABLE record_head (
  microgrid_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  kind text NOT NULL,
  at timestamp with time zone NOT NULL,
  cause_hash bytea NOT NULL,
  commitment bytea NOT NULL,
  CONSTRAINT record_head_pkey PRIMARY KEY (microgrid_id, sequence),
  CONSTRAINT record_head_microgrid_id_cause_hash_key UNIQUE (microgrid_id, cause_hash),
  CONSTRAINT record_head_cause_hash_check CHECK (octet_length(cause_hash) = 32),
  CONSTRAINT record_head_commitment_check CHECK (octet_length(commitment) = 32),
  CONSTRAINT record_head_kind_check CHECK (kind = ANY (ARRAY['enrolment'::text, 'tariff'::text, 'operator-action'::text, 'order'::text, 'gate'::text, 'household-slot'::text, 'trade'::text, 'slot-closed'::text, 'manifest'::text, 'deposit'::text, 'award'::text, 'correction'::text, 'true-up'::text, 'erasure'::text, 'expiry'::text])),
  CONSTRAINT record_head_sequence_check CHECK (sequence::bigint > 0)
);

CREATE TABLE record_household (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  number safe_integer,
  CONSTRAINT record_household_pkey PRIMARY KEY (microgrid_id, household_id, sequence),
  CONSTRAINT record_household_number_check CHECK (number::bigint > 0)
);

CREATE TABLE record_key (
  microgrid_id ident NOT NULL,
  key_holder text NOT NULL,
  key bytea NOT NULL,
  CONSTRAINT record_key_pkey PRIMARY KEY (microgrid_id, key_holder),
  CONSTRAINT record_key_key_check CHECK (octet_length(key) = 32)
);

CREATE TABLE register_border (
  microgrid_id ident NOT NULL,
  border_at timestamp with time zone NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  revision smallint DEFAULT 0 NOT NULL,
  value_wh safe_integer NOT NULL,
  quality text NOT NULL,
  start_wh safe_integer,
  start_quality text,
  real_at timestamp with time zone,
  real_wh numeric(18,6),
  anchor_at timestamp with time zone,
  anchor_wh numeric(18,6),
  CONSTRAINT register_border_pkey PRIMARY KEY (microgrid_id, border_at, meter_id, register, revision),
  CONSTRAINT register_border_check CHECK (start_wh::bigint >= 0 AND start_wh::bigint <= value_wh::bigint),
  CONSTRAINT register_border_check1 CHECK ((start_wh IS NULL) = (start_quality IS NULL)),
  CONSTRAINT register_border_check2 CHECK ((real_at IS NULL) = (real_wh IS NULL)),
  CONSTRAINT register_border_check3 CHECK ((anchor_at IS NULL) = (anchor_wh IS NULL)),
  CONSTRAINT register_border_quality_check CHECK (quality = ANY (ARRAY['measured'::text, 'interpolated'::text, 'estimated'::text])),
  CONSTRAINT register_border_register_check CHECK (register = ANY (ARRAY['import'::text, 'export'::text])),
  CONSTRAINT register_border_start_quality_check CHECK (start_quality = ANY (ARRAY['measured'::text, 'interpolated'::text, 'estimated'::text])),
  CONSTRAINT register_border_value_wh_check CHECK (value_wh::bigint >= 0)
);

CREATE TABLE regulator_answer (
  microgrid_id ident NOT NULL,
  month text NOT NULL,
  query_id uuid NOT NULL,
  households ident[] NOT NULL,
  energies text[] NOT NULL,
  CONSTRAINT regulator_answer_pkey PRIMARY KEY (microgrid_id, month, query_id),
  CONSTRAINT regulator_answer_check CHECK (cardinality(energies) = cardinality(households)),
  CONSTRAINT regulator_answer_month_check CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'::text)
);

CREATE TABLE regulator_query (
  microgrid_id ident NOT NULL,
  query_id uuid DEFAULT gen_random_uuid() NOT NULL,
  person_id ident NOT NULL,
  asked_at timestamp(3) with time zone DEFAULT now() NOT NULL,
  question jsonb NOT NULL,
  outcome text NOT NULL,
  households ident[] DEFAULT '{}'::ident[] NOT NULL,
  CONSTRAINT regulator_query_pkey PRIMARY KEY (microgrid_id, query_id)
);

CREATE TABLE rejection (
  microgrid_id text NOT NULL,
  meter_id text NOT NULL,
  reason text NOT NULL,
  payload_hash bytea NOT NULL,
  topic text NOT NULL,
  detail text NOT NULL,
  payload bytea NOT NULL,
  count bigint DEFAULT 1 NOT NULL,
  first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
  last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT rejection_pkey PRIMARY KEY (microgrid_id, meter_id, reason, payload_hash)
);

CREATE TABLE schema_migration (
  number integer NOT NULL,
  name text NOT NULL,
  applied_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT schema_migration_pkey PRIMARY KEY (number),
  CONSTRAINT schema_migration_name_key UNIQUE (name)
);

CREATE TABLE session (
  session_id uuid DEFAULT gen_random_uuid() NOT NULL,
  person_id ident NOT NULL,
  token_hash bytea NOT NULL,
  refresh_hash bytea NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  refresh_expires_at timestamp with time zone NOT NULL,
  revoked_at timestamp with time zone,
  CONSTRAINT session_pkey PRIMARY KEY (session_id),
  CONSTRAINT session_refresh_hash_key UNIQUE (refresh_hash),
  CONSTRAINT session_token_hash_key UNIQUE (token_hash)
);

CREATE TABLE settlement (
  microgrid_id ident NOT NULL,
  slot_start timestamp with time zone NOT NULL,
  household_id ident NOT NULL,
  revision smallint DEFAULT 0 NOT NULL,
  sequence safe_integer NOT NULL,
  produced_wh safe_integer NOT NULL,
  consumed_wh safe_integer NOT NULL,
  used_wh safe_integer NOT NULL,
  self_wh safe_integer NOT NULL,
  clean_self_wh safe_integer NOT NULL,
  from_neighbors_wh safe_integer NOT NULL,
  clean_from_neighbors_wh safe_integer NOT NULL,
  to_neighbors_wh safe_integer NOT NULL,
  from_grid_wh safe_integer NOT NULL,
  to_grid_wh safe_integer NOT NULL,
  unexplained_use_wh safe_integer NOT NULL,
  sold_wh safe_integer NOT NULL,
  bought_wh safe_integer NOT NULL,
  imbalance_wh safe_integer NOT NULL,
  neighbor_micro safe_integer NOT NULL,
  fee_micro safe_integer NOT NULL,
  utility_micro safe_integer NOT NULL,
  net_micro safe_integer NOT NULL,
  tariff_micro safe_integer NOT NULL,
  quality text NOT NULL,
  CONSTRAINT settlement_pkey PRIMARY KEY (microgrid_id, slot_start, household_id, revision)
);

CREATE TABLE slot (
  microgrid_id ident NOT NULL,
  slot_start timestamp with time zone NOT NULL,
  slot_end timestamp with time zone NOT NULL,
  status text NOT NULL,
  clearing_price_micro_per_kwh safe_integer,
  traded_wh safe_integer DEFAULT 0 NOT NULL,
  gate_sequence safe_integer,
  closed_sequence safe_integer,
  correction_sequences bigint[] DEFAULT '{}'::bigint[] NOT NULL,
  revision smallint DEFAULT 0 NOT NULL,
  reason text,
  CONSTRAINT slot_pkey PRIMARY KEY (microgrid_id, slot_start),
  CONSTRAINT slot_status_check CHECK (status = ANY (ARRAY['gate-closed'::text, 'closed'::text, 'quarantined'::text]))
);

CREATE TABLE spent_refresh (
  refresh_hash bytea NOT NULL,
  session_id uuid NOT NULL,
  CONSTRAINT spent_refresh_pkey PRIMARY KEY (refresh_hash)
);

CREATE TABLE standing_order (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  valid_from timestamp with time zone NOT NULL,
  sell_above_micro_per_kwh safe_integer,
  buy_below_micro_per_kwh safe_integer,
  sequence safe_integer NOT NULL,
  wishes text DEFAULT '[]'::text NOT NULL,
  CONSTRAINT standing_order_pkey PRIMARY KEY (microgrid_id, household_id, valid_from),
  CONSTRAINT standing_order_buy_below_micro_per_kwh_check CHECK (buy_below_micro_per_kwh::bigint >= 0),
  CONSTRAINT standing_order_sell_above_micro_per_kwh_check CHECK (sell_above_micro_per_kwh::bigint >= 0)
);

CREATE TABLE storage_lot (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  charged_in timestamp with time zone NOT NULL,
  source text NOT NULL,
  remaining_wh safe_integer NOT NULL,
  CONSTRAINT storage_lot_pkey PRIMARY KEY (microgrid_id, household_id, charged_in, source),
  CONSTRAINT storage_lot_remaining_wh_check CHECK (remaining_wh::bigint > 0),
  CONSTRAINT storage_lot_source_check CHECK (source = ANY (ARRAY['own'::text, 'neighbor'::text, 'grid'::text]))
);

CREATE TABLE suspect_reading (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  read_at timestamp with time zone NOT NULL,
  rule text NOT NULL,
  CONSTRAINT suspect_reading_pkey PRIMARY KEY (microgrid_id, meter_id, register, read_at),
  CONSTRAINT suspect_reading_register_check CHECK (register = ANY (ARRAY['import'::text, 'export'::text])),
  CONSTRAINT suspect_reading_rule_check CHECK (rule = ANY (ARRAY['falling_register'::text, 'beyond_connection'::text, 'outlier'::text]))
);

CREATE TABLE tariff (
  microgrid_id ident NOT NULL,
  valid_from timestamp with time zone NOT NULL,
  from_minute smallint NOT NULL,
  retail_micro_per_kwh safe_integer NOT NULL,
  feed_in_micro_per_kwh safe_integer NOT NULL,
  grid_fee_micro_per_kwh safe_integer DEFAULT 0 NOT NULL,
  CONSTRAINT tariff_pkey PRIMARY KEY (microgrid_id, valid_from, from_minute),
  CONSTRAINT tariff_check CHECK (feed_in_micro_per_kwh::bigint <= retail_micro_per_kwh::bigint),
  CONSTRAINT tariff_feed_in_micro_per_kwh_check CHECK (feed_in_micro_per_kwh::bigint >= 0),
  CONSTRAINT tariff_from_minute_check CHECK (from_minute >= 0 AND from_minute <= 1439),
  CONSTRAINT tariff_grid_fee_micro_per_kwh_check CHECK (grid_fee_micro_per_kwh::bigint >= 0),
  CONSTRAINT tariff_retail_micro_per_kwh_check CHECK (retail_micro_per_kwh::bigint >= 0)
);

CREATE TABLE trade (
  microgrid_id ident NOT NULL,
  slot_start timestamp with time zone NOT NULL,
  number integer NOT NULL,
  revision smallint DEFAULT 0 NOT NULL,
  trade_id text NOT NULL,
  buyer_id ident NOT NULL,
  seller_id ident NOT NULL,
  bid_id text,
  ask_id text,
  energy_wh safe_integer NOT NULL,
  buyer_price_micro_per_kwh safe_integer NOT NULL,
  seller_price_micro_per_kwh safe_integer NOT NULL,
  firm boolean NOT NULL,
  hold_id text,
  sequence safe_integer NOT NULL,
  congestion_micro_per_kwh safe_integer DEFAULT 0 NOT NULL,
  CONSTRAINT trade_pkey PRIMARY KEY (microgrid_id, slot_start, number, revision),
  CONSTRAINT trade_check CHECK (buyer_id::text <> seller_id::text),
  CONSTRAINT trade_congestion_micro_per_kwh_check CHECK (congestion_micro_per_kwh::bigint >= 0),
  CONSTRAINT trade_energy_wh_check CHECK (energy_wh::bigint > 0),
  CONSTRAINT trade_trade_id_check CHECK (length(trade_id) = 32 AND trade_id ~ '^[0-9a-f]+$'::text)
);

CREATE TABLE trade_settlement (
  microgrid_id ident NOT NULL,
  slot_start timestamp with time zone NOT NULL,
  number integer NOT NULL,
  revision smallint DEFAULT 0 NOT NULL,
  sequence safe_integer NOT NULL,
  buyer_id ident NOT NULL,
  seller_id ident NOT NULL,
  settled_wh safe_integer NOT NULL,
  claimed_wh safe_integer NOT NULL,
  cost_micro safe_integer NOT NULL,
  proceeds_micro safe_integer NOT NULL,
  firm boolean NOT NULL,
  CONSTRAINT trade_settlement_pkey PRIMARY KEY (microgrid_id, slot_start, number, revision)
);

CREATE TABLE traded_slot (
  microgrid_id ident NOT NULL,
  slot_start timestamp with time zone NOT NULL,
  revision smallint DEFAULT 0 NOT NULL,
  gate_sequence safe_integer,
  CONSTRAINT traded_slot_pkey PRIMARY KEY (microgrid_id, slot_start)
);

CREATE TABLE transfer (
  microgrid_id ident NOT NULL,
  transfer_id text NOT NULL,
  sequence safe_integer NOT NULL,
  line integer NOT NULL,
  debit_account text NOT NULL,
  credit_account text NOT NULL,
  asset text NOT NULL,
  amount safe_integer NOT NULL,
  code text NOT NULL,
  state text NOT NULL,
  pending_id text,
  CONSTRAINT transfer_pkey PRIMARY KEY (microgrid_id, sequence, line),
  CONSTRAINT transfer_microgrid_id_transfer_id_key UNIQUE (microgrid_id, transfer_id),
  CONSTRAINT transfer_amount_check CHECK (amount::bigint >= 0),
  CONSTRAINT transfer_check CHECK (debit_account <> credit_account),
  CONSTRAINT transfer_moves CHECK ((state = ANY (ARRAY['void'::text, 'expire'::text])) OR amount::bigint > 0),
  CONSTRAINT transfer_resolves CHECK ((state = ANY (ARRAY['post'::text, 'void'::text, 'expire'::text])) = (pending_id IS NOT NULL)),
  CONSTRAINT transfer_state_check CHECK (state = ANY (ARRAY['posted'::text, 'pending'::text, 'post'::text, 'void'::text, 'expire'::text])),
  CONSTRAINT transfer_transfer_id_check CHECK (length(transfer_id) = 32 AND transfer_id ~ '^[0-9a-f]+$'::text)
);

CREATE TABLE true_up (
  microgrid_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  household_id ident NOT NULL,
  border_at timestamp with time zone NOT NULL,
  revision smallint NOT NULL,
  booked_at timestamp with time zone NOT NULL,
  import_wh safe_integer NOT NULL,
  export_wh safe_integer NOT NULL,
  generated_wh safe_integer NOT NULL,
  charged_wh safe_integer NOT NULL,
  discharged_wh safe_integer NOT NULL,
  consumption_wh safe_integer NOT NULL,
  unexplained_wh safe_integer NOT NULL,
  retail_micro_per_kwh safe_integer NOT NULL,
  feed_in_micro_per_kwh safe_integer NOT NULL,
  import_micro safe_integer NOT NULL,
  export_micro safe_integer NOT NULL,
  net_micro safe_integer NOT NULL,
  CONSTRAINT true_up_pkey PRIMARY KEY (microgrid_id, household_id, border_at, revision)
);

ALTER TABLE account ADD CONSTRAINT account_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE autopilot ADD CONSTRAINT autopilot_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE award ADD CONSTRAINT award_microgrid_id_program_id_period_from_fkey FOREIGN KEY (microgrid_id, program_id, period_from) REFERENCES program_run(microgrid_id, program_id, period_from);

ALTER TABLE checkpoint ADD CONSTRAINT checkpoint_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE erasure ADD CONSTRAINT erasure_microgrid_id_sequence_fkey FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head(microgrid_id, sequence);

ALTER TABLE failed_id ADD CONSTRAINT failed_id_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE feed_cursor ADD CONSTRAINT feed_cursor_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE gateway ADD CONSTRAINT gateway_gateway_id_fkey FOREIGN KEY (gateway_id) REFERENCES party(party_id);

ALTER TABLE gateway ADD CONSTRAINT gateway_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE hold_timeout ADD CONSTRAINT hold_timeout_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE hold_timeout ADD CONSTRAINT hold_timeout_microgrid_id_transfer_id_fkey FOREIGN KEY (microgrid_id, transfer_id) REFERENCES transfer(microgrid_id, transfer_id);

ALTER TABLE household ADD CONSTRAINT household_household_id_fkey FOREIGN KEY (household_id) REFERENCES party(party_id);

ALTER TABLE household ADD CONSTRAINT household_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE household_strategy ADD CONSTRAINT household_strategy_microgrid_id_household_id_fkey FOREIGN KEY (microgrid_id, household_id) REFERENCES household(microgrid_id, household_id);

ALTER TABLE invitation ADD CONSTRAINT invitation_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id);

ALTER TABLE journal_head ADD CONSTRAINT journal_head_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE log_entry ADD CONSTRAINT log_entry_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE log_policy ADD CONSTRAINT log_policy_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE log_tile ADD CONSTRAINT log_tile_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE manifest_state ADD CONSTRAINT manifest_state_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE market_alarm ADD CONSTRAINT market_alarm_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE market_order ADD CONSTRAINT market_order_microgrid_id_household_id_fkey FOREIGN KEY (microgrid_id, household_id) REFERENCES household(microgrid_id, household_id);

ALTER TABLE market_watch ADD CONSTRAINT market_watch_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE meter ADD CONSTRAINT meter_meter_id_fkey FOREIGN KEY (meter_id) REFERENCES party(party_id);

ALTER TABLE meter ADD CONSTRAINT meter_microgrid_id_gateway_id_fkey FOREIGN KEY (microgrid_id, gateway_id) REFERENCES gateway(microgrid_id, gateway_id);

ALTER TABLE meter ADD CONSTRAINT meter_microgrid_id_household_id_fkey FOREIGN KEY (microgrid_id, household_id) REFERENCES household(microgrid_id, household_id);

ALTER TABLE meter_claim ADD CONSTRAINT meter_claim_microgrid_id_meter_id_fkey FOREIGN KEY (microgrid_id, meter_id) REFERENCES meter(microgrid_id, meter_id);

ALTER TABLE meter_key ADD CONSTRAINT meter_key_microgrid_id_meter_id_fkey FOREIGN KEY (microgrid_id, meter_id) REFERENCES meter(microgrid_id, meter_id);

ALTER TABLE meter_profile ADD CONSTRAINT meter_profile_microgrid_id_meter_id_fkey FOREIGN KEY (microgrid_id, meter_id) REFERENCES meter(microgrid_id, meter_id);

ALTER TABLE mqtt_credential ADD CONSTRAINT mqtt_credential_username_fkey FOREIGN KEY (username) REFERENCES party(party_id);

ALTER TABLE network_node ADD CONSTRAINT network_node_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE network_node ADD CONSTRAINT network_node_microgrid_id_valid_from_parent_id_fkey FOREIGN KEY (microgrid_id, valid_from, parent_id) REFERENCES network_node(microgrid_id, valid_from, node_id);

ALTER TABLE person ADD CONSTRAINT person_person_id_fkey FOREIGN KEY (person_id) REFERENCES party(party_id);

ALTER TABLE person_grant ADD CONSTRAINT person_grant_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE person_grant ADD CONSTRAINT person_grant_microgrid_id_household_id_fkey FOREIGN KEY (microgrid_id, household_id) REFERENCES household(microgrid_id, household_id);

ALTER TABLE person_grant ADD CONSTRAINT person_grant_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id);

ALTER TABLE program ADD CONSTRAINT program_created_by_fkey FOREIGN KEY (created_by) REFERENCES person(person_id);

ALTER TABLE program ADD CONSTRAINT program_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE program_funding ADD CONSTRAINT program_funding_funded_by_fkey FOREIGN KEY (funded_by) REFERENCES person(person_id);

ALTER TABLE program_funding ADD CONSTRAINT program_funding_microgrid_id_program_id_fkey FOREIGN KEY (microgrid_id, program_id) REFERENCES program(microgrid_id, program_id);

ALTER TABLE program_member ADD CONSTRAINT program_member_consented_by_fkey FOREIGN KEY (consented_by) REFERENCES person(person_id);

ALTER TABLE program_member ADD CONSTRAINT program_member_microgrid_id_household_id_fkey FOREIGN KEY (microgrid_id, household_id) REFERENCES household(microgrid_id, household_id);

ALTER TABLE program_member ADD CONSTRAINT program_member_microgrid_id_program_id_fkey FOREIGN KEY (microgrid_id, program_id) REFERENCES program(microgrid_id, program_id);

ALTER TABLE program_run ADD CONSTRAINT program_run_microgrid_id_program_id_fkey FOREIGN KEY (microgrid_id, program_id) REFERENCES program(microgrid_id, program_id);

ALTER TABLE publication ADD CONSTRAINT publication_microgrid_id_policy_hash_fkey FOREIGN KEY (microgrid_id, policy_hash) REFERENCES log_policy(microgrid_id, policy_hash);

ALTER TABLE publication ADD CONSTRAINT publication_microgrid_id_size_fkey FOREIGN KEY (microgrid_id, size) REFERENCES checkpoint(microgrid_id, size);

ALTER TABLE record_body ADD CONSTRAINT record_body_microgrid_id_sequence_fkey FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head(microgrid_id, sequence);

ALTER TABLE record_head ADD CONSTRAINT record_head_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE record_household ADD CONSTRAINT record_household_microgrid_id_sequence_fkey FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head(microgrid_id, sequence);

ALTER TABLE record_key ADD CONSTRAINT record_key_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE regulator_answer ADD CONSTRAINT regulator_answer_microgrid_id_query_id_fkey FOREIGN KEY (microgrid_id, query_id) REFERENCES regulator_query(microgrid_id, query_id);

ALTER TABLE regulator_query ADD CONSTRAINT regulator_query_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id);

ALTER TABLE session ADD CONSTRAINT session_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id);

ALTER TABLE slot ADD CONSTRAINT slot_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE spent_refresh ADD CONSTRAINT spent_refresh_session_id_fkey FOREIGN KEY (session_id) REFERENCES session(session_id) ON DELETE CASCADE;

ALTER TABLE standing_order ADD CONSTRAINT standing_order_microgrid_id_household_id_fkey FOREIGN KEY (microgrid_id, household_id) REFERENCES household(microgrid_id, household_id);

ALTER TABLE tariff ADD CONSTRAINT tariff_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE traded_slot ADD CONSTRAINT traded_slot_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE transfer ADD CONSTRAINT transfer_microgrid_id_fkey FOREIGN KEY (microgrid_id) REFERENCES microgrid(microgrid_id);

ALTER TABLE transfer ADD CONSTRAINT transfer_microgrid_id_sequence_fkey FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head(microgrid_id, sequence);

CREATE INDEX hold_timeout_by_time ON hold_timeout USING btree (microgrid_id, expires_at);

CREATE INDEX market_alarm_newest ON market_alarm USING btree (microgrid_id, until_slot, alarm_id);

CREATE INDEX market_order_by_household ON market_order USING btree (microgrid_id, household_id, sequence);

CREATE INDEX market_order_by_slot ON market_order USING btree (microgrid_id, slot_start, status);

CREATE INDEX market_order_in_book ON market_order USING btree (microgrid_id, slot_start, side, (
CASE side
    WHEN 'bid'::text THEN - price_micro_per_kwh::bigint
    ELSE price_micro_per_kwh::bigint
END), sequence) WHERE status = 'open'::text;

CREATE INDEX measurement_by_household ON measurement USING btree (microgrid_id, household_id, slot_start);

CREATE INDEX meter_by_household ON meter USING btree (microgrid_id, household_id);

CREATE INDEX meter_profile_by_topic ON meter_profile USING btree (topic);

CREATE UNIQUE INDEX network_root ON network_node USING btree (microgrid_id, valid_from) WHERE parent_id IS NULL;

CREATE INDEX person_grant_by_household ON person_grant USING btree (microgrid_id, household_id);

CREATE INDEX person_grant_by_person ON person_grant USING btree (person_id);

CREATE INDEX program_member_by_household ON program_member USING btree (microgrid_id, household_id);

CREATE INDEX record_head_by_manifest ON record_head USING btree (microgrid_id, kind, sequence) WHERE kind = ANY (ARRAY['manifest'::text, 'slot-closed'::text]);

CREATE INDEX register_border_long_gap ON register_border USING btree (microgrid_id, meter_id, register, border_at) WHERE quality = 'interpolated'::text AND (border_at - real_at) > '01:00:00'::interval;

CREATE INDEX regulator_query_by_time ON regulator_query USING btree (microgrid_id, asked_at, query_id);

CREATE INDEX rejection_by_time ON rejection USING btree (microgrid_id, last_seen_at);

CREATE INDEX session_by_person ON session USING btree (person_id);

CREATE INDEX settlement_by_household ON settlement USING btree (microgrid_id, household_id, slot_start);

CREATE INDEX slot_by_status ON slot USING btree (microgrid_id, status, slot_start);

CREATE INDEX spent_refresh_by_session ON spent_refresh USING btree (session_id);

CREATE INDEX trade_by_buyer ON trade USING btree (microgrid_id, buyer_id, slot_start);

CREATE INDEX trade_by_seller ON trade USING btree (microgrid_id, seller_id, slot_start);

CREATE INDEX trade_settlement_by_buyer ON trade_settlement USING btree (microgrid_id, buyer_id, slot_start);

CREATE INDEX trade_settlement_by_seller ON trade_settlement USING btree (microgrid_id, seller_id, slot_start);

CREATE INDEX traded_slot_without_gate ON traded_slot USING btree (microgrid_id, slot_start) WHERE gate_sequence IS NULL;

CREATE INDEX transfer_by_credit ON transfer USING btree (microgrid_id, credit_account, sequence);

CREATE INDEX transfer_by_debit ON transfer USING btree (microgrid_id, debit_account, sequence);

CREATE UNIQUE INDEX transfer_resolution ON transfer USING btree (microgrid_id, pending_id) WHERE pending_id IS NOT NULL;

CREATE INDEX true_up_by_sequence ON true_up USING btree (microgrid_id, sequence);

CREATE TRIGGER award_erasable BEFORE DELETE ON award FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER award_insert_only BEFORE UPDATE OR TRUNCATE ON award FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER award_only_erased AFTER DELETE ON award REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('household_id');

CREATE TRIGGER checkpoint_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON checkpoint FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER erasure_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON erasure FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER failed_id_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON failed_id FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER gateway_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON gateway FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER log_entry_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON log_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER log_policy_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON log_policy FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER market_alarm_erasable BEFORE DELETE ON market_alarm FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER market_alarm_insert_only BEFORE UPDATE OR TRUNCATE ON market_alarm FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER measurement_erasable BEFORE DELETE ON measurement FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER measurement_insert_only BEFORE UPDATE OR TRUNCATE ON measurement FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER measurement_only_erased AFTER DELETE ON measurement REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('household_id');

CREATE TRIGGER meter_exchange_erasable BEFORE DELETE ON meter_exchange FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER meter_exchange_insert_only BEFORE UPDATE OR TRUNCATE ON meter_exchange FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER meter_exchange_only_erased AFTER DELETE ON meter_exchange REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('meter_id');

CREATE TRIGGER meter_key_erasable BEFORE DELETE ON meter_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER meter_key_insert_only BEFORE UPDATE OR TRUNCATE ON meter_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER meter_key_only_erased AFTER DELETE ON meter_key REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('meter_id');

CREATE TRIGGER network_node_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON network_node FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER party_erasable BEFORE DELETE ON party FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER party_insert_only BEFORE UPDATE OR TRUNCATE ON party FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER party_only_erased AFTER DELETE ON party REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_people();

CREATE TRIGGER program_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON program FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER program_funding_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON program_funding FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER program_run_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON program_run FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER publication_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON publication FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER reading_erasable BEFORE DELETE ON reading FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER reading_insert_only BEFORE UPDATE OR TRUNCATE ON reading FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER reading_only_erased AFTER DELETE ON reading REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('meter_id');

CREATE TRIGGER reading_contradiction_erasable BEFORE DELETE ON reading_contradiction FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER reading_contradiction_insert_only BEFORE UPDATE OR TRUNCATE ON reading_contradiction FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER reading_contradiction_only_erased AFTER DELETE ON reading_contradiction REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('meter_id');

CREATE TRIGGER reading_payload_erasable BEFORE DELETE ON reading_payload FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER reading_payload_insert_only BEFORE UPDATE OR TRUNCATE ON reading_payload FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER reading_payload_only_erased AFTER DELETE ON reading_payload REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_unnamed_payloads();

CREATE TRIGGER record_body_erasable BEFORE DELETE ON record_body FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER record_body_insert_only BEFORE UPDATE OR TRUNCATE ON record_body FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER record_body_only_erased AFTER DELETE ON record_body REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('key_holder');

CREATE TRIGGER record_head_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON record_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER record_household_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON record_household FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER record_key_erasable BEFORE DELETE ON record_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER record_key_insert_only BEFORE UPDATE OR TRUNCATE ON record_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER record_key_not_of_erased BEFORE INSERT ON record_key FOR EACH ROW EXECUTE FUNCTION refuse_key_of_erased();

CREATE TRIGGER record_key_only_erased AFTER DELETE ON record_key REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('key_holder');

CREATE TRIGGER register_border_erasable BEFORE DELETE ON register_border FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER register_border_insert_only BEFORE UPDATE OR TRUNCATE ON register_border FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER register_border_only_erased AFTER DELETE ON register_border REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('meter_id');

CREATE TRIGGER regulator_answer_erasable BEFORE UPDATE ON regulator_answer FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER regulator_answer_insert_only BEFORE DELETE OR TRUNCATE ON regulator_answer FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER regulator_query_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON regulator_query FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER settlement_erasable BEFORE DELETE ON settlement FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER settlement_insert_only BEFORE UPDATE OR TRUNCATE ON settlement FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER settlement_only_erased AFTER DELETE ON settlement REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('household_id');

CREATE TRIGGER tariff_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON tariff FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER trade_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON trade FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER trade_settlement_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON trade_settlement FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER transfer_insert_only BEFORE DELETE OR UPDATE OR TRUNCATE ON transfer FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER true_up_erasable BEFORE DELETE ON true_up FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();

CREATE TRIGGER true_up_insert_only BEFORE UPDATE OR TRUNCATE ON true_up FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER true_up_only_erased AFTER DELETE ON true_up REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('household_id');

GRANT SELECT ON account TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON account TO neighborwatt_service;

GRANT SELECT ON autopilot TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (quoted_through) ON autopilot TO neighborwatt_service;

GRANT DELETE, SELECT ON award TO neighborwatt_eraser;

GRANT INSERT, SELECT ON award TO neighborwatt_service;

GRANT SELECT ON checkpoint TO neighborwatt_eraser;

GRANT INSERT, SELECT ON checkpoint TO neighborwatt_service;

GRANT INSERT, SELECT ON erasure TO neighborwatt_eraser;

GRANT SELECT ON erasure TO neighborwatt_service;

GRANT SELECT ON failed_id TO neighborwatt_eraser;

GRANT INSERT, SELECT ON failed_id TO neighborwatt_service;

GRANT SELECT ON feed_cursor TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (sequence) ON feed_cursor TO neighborwatt_service;

GRANT SELECT ON gateway TO neighborwatt_eraser;

GRANT INSERT, SELECT ON gateway TO neighborwatt_service;

GRANT SELECT ON hold_timeout TO neighborwatt_eraser;

GRANT DELETE, INSERT, SELECT ON hold_timeout TO neighborwatt_service;

GRANT SELECT, UPDATE (alias, export_limit_w, feeder, import_limit_w, share_parts, share_rank) ON household TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (active_until) ON household TO neighborwatt_service;

GRANT DELETE, SELECT ON household_strategy TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON household_strategy TO neighborwatt_service;

GRANT DELETE, SELECT ON invitation TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (used_at) ON invitation TO neighborwatt_service;

GRANT SELECT, UPDATE ON journal_head TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON journal_head TO neighborwatt_service;

GRANT DELETE, SELECT ON late_reading TO neighborwatt_eraser;

GRANT DELETE, INSERT, SELECT, UPDATE (times) ON late_reading TO neighborwatt_service;

GRANT INSERT, SELECT ON log_entry TO neighborwatt_eraser;

GRANT INSERT, SELECT ON log_entry TO neighborwatt_service;

GRANT SELECT ON log_policy TO neighborwatt_eraser;

GRANT INSERT, SELECT ON log_policy TO neighborwatt_service;

GRANT INSERT, SELECT, UPDATE (hashes) ON log_tile TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (hashes) ON log_tile TO neighborwatt_service;

GRANT SELECT ON manifest_state TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (state) ON manifest_state TO neighborwatt_service;

GRANT DELETE, SELECT ON market_alarm TO neighborwatt_eraser;

GRANT INSERT, SELECT ON market_alarm TO neighborwatt_service;

GRANT SELECT ON market_clock TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (now) ON market_clock TO neighborwatt_service;

GRANT DELETE, SELECT ON market_order TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (filled_wh, hold_id, status) ON market_order TO neighborwatt_service;

GRANT SELECT ON market_watch TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (watched_through) ON market_watch TO neighborwatt_service;

GRANT DELETE, SELECT ON measurement TO neighborwatt_eraser;

GRANT INSERT, SELECT ON measurement TO neighborwatt_service;

GRANT DELETE, SELECT ON meter TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (active_until) ON meter TO neighborwatt_service;

GRANT DELETE, SELECT ON meter_claim TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON meter_claim TO neighborwatt_service;

GRANT DELETE, SELECT ON meter_counter TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (counter) ON meter_counter TO neighborwatt_service;

GRANT DELETE, SELECT ON meter_exchange TO neighborwatt_eraser;

GRANT INSERT, SELECT ON meter_exchange TO neighborwatt_service;

GRANT DELETE, SELECT ON meter_key TO neighborwatt_eraser;

GRANT INSERT, SELECT ON meter_key TO neighborwatt_service;

GRANT DELETE, SELECT ON meter_profile TO neighborwatt_eraser;

GRANT DELETE, INSERT, SELECT, UPDATE ON meter_profile TO neighborwatt_service;

GRANT SELECT ON microgrid TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (name) ON microgrid TO neighborwatt_service;

GRANT DELETE, SELECT ON mqtt_credential TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON mqtt_credential TO neighborwatt_service;

GRANT SELECT ON network_node TO neighborwatt_eraser;

GRANT INSERT, SELECT ON network_node TO neighborwatt_service;

GRANT DELETE, SELECT ON party TO neighborwatt_eraser;

GRANT INSERT, SELECT ON party TO neighborwatt_service;

GRANT DELETE, SELECT ON person TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (disabled_at, password_hash, password_must_change) ON person TO neighborwatt_service;

GRANT DELETE, SELECT ON person_grant TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (valid_until) ON person_grant TO neighborwatt_service;

GRANT SELECT ON program TO neighborwatt_eraser;

GRANT INSERT, SELECT ON program TO neighborwatt_service;

GRANT SELECT ON program_funding TO neighborwatt_eraser;

GRANT INSERT, SELECT ON program_funding TO neighborwatt_service;

GRANT DELETE, SELECT ON program_member TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (consented_by, left_at, sequence) ON program_member TO neighborwatt_service;

GRANT SELECT ON program_run TO neighborwatt_eraser;

GRANT INSERT, SELECT ON program_run TO neighborwatt_service;

GRANT SELECT ON publication TO neighborwatt_eraser;

GRANT INSERT, SELECT ON publication TO neighborwatt_service;

GRANT DELETE, SELECT ON reading TO neighborwatt_eraser;

GRANT INSERT, SELECT ON reading TO neighborwatt_service;

GRANT DELETE, SELECT ON reading_contradiction TO neighborwatt_eraser;

GRANT INSERT, SELECT ON reading_contradiction TO neighborwatt_service;

GRANT DELETE, SELECT ON reading_payload TO neighborwatt_eraser;

GRANT INSERT, SELECT ON reading_payload TO neighborwatt_service;

GRANT DELETE, INSERT, SELECT ON record_body TO neighborwatt_eraser;

GRANT INSERT, SELECT ON record_body TO neighborwatt_service;

GRANT INSERT, SELECT ON record_head TO neighborwatt_eraser;

GRANT INSERT, SELECT ON record_head TO neighborwatt_service;

GRANT INSERT, SELECT ON record_household TO neighborwatt_eraser;

GRANT INSERT, SELECT ON record_household TO neighborwatt_service;

GRANT DELETE, SELECT ON record_key TO neighborwatt_eraser;

GRANT INSERT, SELECT ON record_key TO neighborwatt_service;

GRANT DELETE, SELECT ON register_border TO neighborwatt_eraser;

GRANT INSERT, SELECT ON register_border TO neighborwatt_service;

GRANT SELECT, UPDATE (energies) ON regulator_answer TO neighborwatt_eraser;

GRANT INSERT, SELECT ON regulator_answer TO neighborwatt_service;

GRANT SELECT ON regulator_query TO neighborwatt_eraser;

GRANT INSERT, SELECT ON regulator_query TO neighborwatt_service;

GRANT DELETE, SELECT ON rejection TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON rejection TO neighborwatt_service;

GRANT SELECT ON schema_migration TO neighborwatt_eraser;

GRANT SELECT ON schema_migration TO neighborwatt_service;

GRANT DELETE, SELECT ON session TO neighborwatt_eraser;

GRANT DELETE, INSERT, SELECT, UPDATE ON session TO neighborwatt_service;

GRANT DELETE, SELECT ON settlement TO neighborwatt_eraser;

GRANT INSERT, SELECT ON settlement TO neighborwatt_service;

GRANT SELECT ON slot TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON slot TO neighborwatt_service;

GRANT SELECT ON spent_refresh TO neighborwatt_eraser;

GRANT INSERT, SELECT ON spent_refresh TO neighborwatt_service;

GRANT DELETE, SELECT ON standing_order TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE ON standing_order TO neighborwatt_service;

GRANT DELETE, SELECT ON storage_lot TO neighborwatt_eraser;

GRANT DELETE, INSERT, SELECT ON storage_lot TO neighborwatt_service;

GRANT DELETE, SELECT ON suspect_reading TO neighborwatt_eraser;

GRANT DELETE, INSERT, SELECT, UPDATE (rule) ON suspect_reading TO neighborwatt_service;

GRANT SELECT ON tariff TO neighborwatt_eraser;

GRANT INSERT, SELECT ON tariff TO neighborwatt_service;

GRANT SELECT ON trade TO neighborwatt_eraser;

GRANT INSERT, SELECT ON trade TO neighborwatt_service;

GRANT SELECT ON trade_settlement TO neighborwatt_eraser;

GRANT INSERT, SELECT ON trade_settlement TO neighborwatt_service;

GRANT SELECT ON traded_slot TO neighborwatt_eraser;

GRANT INSERT, SELECT, UPDATE (gate_sequence, revision) ON traded_slot TO neighborwatt_service;

GRANT SELECT ON transfer TO neighborwatt_eraser;

GRANT INSERT, SELECT ON transfer TO neighborwatt_service;

GRANT DELETE, SELECT ON true_up TO neighborwatt_eraser;

GRANT INSERT, SELECT ON true_up TO neighborwatt_service;
