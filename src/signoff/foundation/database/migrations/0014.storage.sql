-- Storage: the journal by months, artifacts, search attributes, retention.
-- depends: 0001.foundation 0010.runtime 0011.waits_and_calls 0060.reviews

-- The journal by months of the run's start: a run id is a UUID of version 7, so its first 48 bits are milliseconds of
-- Unix time, and a run stays in one partition for life (rule 10 of the engine). Only migrations call these two.
CREATE FUNCTION signoff_first_run_id(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $first$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$first$;

CREATE FUNCTION signoff_month_of_run(run_id uuid) RETURNS date
LANGUAGE sql IMMUTABLE
AS $month$
    SELECT date_trunc('month', to_timestamp(
        ('x' || left(replace(run_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) AT TIME ZONE 'UTC')::date
$month$;

-- FORCE holds the owner to policies too where it is no superuser: without this line it would see no row to move.
ALTER TABLE journal NO FORCE ROW LEVEL SECURITY;
ALTER TABLE journal RENAME TO journal_whole;
ALTER TABLE journal_whole RENAME CONSTRAINT journal_pkey TO journal_whole_pkey;

CREATE TABLE journal (LIKE journal_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (run_id, seq))
    PARTITION BY RANGE (run_id);

-- Made beside and attached: attaching lets appends go on, CREATE TABLE … PARTITION OF would stop them all.
CREATE FUNCTION signoff_add_journal_month(month date) RETURNS text
LANGUAGE plpgsql
AS $add$
DECLARE
    first_day date := date_trunc('month', month)::date;
    name text := 'journal_' || to_char(first_day, 'YYYY_MM');
BEGIN
    -- Two workers at once: the second one waits, and finds it made.
    PERFORM pg_advisory_xact_lock(hashtextextended('signoff.journal.partitions', 0));
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.journal INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format(
        'ALTER TABLE public.journal ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name,
        public.signoff_first_run_id(first_day::timestamp AT TIME ZONE 'UTC'),
        public.signoff_first_run_id((first_day + interval '1 month') AT TIME ZONE 'UTC'));
    RETURN name;
END
$add$;

-- From the first month of what is there (of the last two years) to four months ahead, without a gap; and one partition
-- for ids from before, which a clock that runs behind may still make. A clock that runs months ahead gets an error:
-- there is no DEFAULT partition, which would forbid detaching one while appends go on.
DO $move$
DECLARE
    this_month date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
    first_month date;
    months date[];
    moved bigint;
    kept bigint;
BEGIN
    SELECT greatest(this_month - interval '2 years', least(this_month, signoff_month_of_run(run_id)))::date
    INTO first_month FROM (SELECT run_id FROM journal_whole ORDER BY run_id LIMIT 1) AS earliest (run_id);
    SELECT array_agg(month ORDER BY month) INTO months FROM (
        SELECT generate_series(coalesce(first_month, this_month)::timestamp, this_month + interval '4 months',
            interval '1 month')::date AS month
        UNION
        SELECT signoff_month_of_run(run_id) FROM journal_whole
        WHERE run_id >= signoff_first_run_id((this_month + interval '5 months') AT TIME ZONE 'UTC')
    ) found;
    IF cardinality(months) > 600 THEN
        RAISE EXCEPTION 'the journal spans % months; its run ids are not of version 7', cardinality(months);
    END IF;
    EXECUTE format('CREATE TABLE journal_past PARTITION OF journal FOR VALUES FROM (MINVALUE) TO (%L)',
        signoff_first_run_id(months[1]::timestamp AT TIME ZONE 'UTC'));
    PERFORM signoff_add_journal_month(month) FROM unnest(months) AS month;
    INSERT INTO journal SELECT * FROM journal_whole;
    GET DIAGNOSTICS moved = ROW_COUNT;
    SELECT count(*) INTO kept FROM journal_whole;
    IF moved <> kept THEN
        RAISE EXCEPTION 'of % events only % would be moved', kept, moved;
    END IF;
END
$move$;
DROP TABLE journal_whole;
SELECT signoff_protect('journal');
REVOKE UPDATE, DELETE ON journal FROM signoff_app, signoff_worker;

-- What workers call: the months from this one on, by the server's clock. It can make nothing but these.
CREATE FUNCTION signoff_prepare_journal(ahead integer) RETURNS SETOF text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $prepare$
    SELECT made FROM (
        SELECT public.signoff_add_journal_month(
            (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => month))::date) AS made
        FROM generate_series(0, least(greatest(ahead, 0), 24)) AS month
    ) months WHERE made IS NOT NULL
$prepare$;
REVOKE ALL ON FUNCTION signoff_add_journal_month(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION signoff_prepare_journal(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signoff_prepare_journal(integer) TO signoff_app, signoff_worker;

-- Rows that come and go all day: cleaned early, or claims walk over the dead.
ALTER TABLE run_queue SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE inbox SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE worker_session SET (autovacuum_vacuum_scale_factor = 0.02);

-- Values too large for an event, by the SHA-256 of their content, each once per organisation.
CREATE TABLE artifact (
    org_id uuid NOT NULL REFERENCES organisation,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, digest)
);
SELECT signoff_protect('artifact');

CREATE TABLE artifact_chunk (
    org_id uuid NOT NULL,
    digest text NOT NULL,
    place integer NOT NULL CHECK (place >= 0),
    data bytea NOT NULL CHECK (octet_length(data) BETWEEN 1 AND 262144),
    PRIMARY KEY (org_id, digest, place),
    FOREIGN KEY (org_id, digest) REFERENCES artifact ON DELETE CASCADE
);
-- Compressed before it comes here.
ALTER TABLE artifact_chunk ALTER COLUMN data SET STORAGE EXTERNAL;
SELECT signoff_protect('artifact_chunk');

-- Which runs name it: the last one to go takes it along. The key also holds off a removal while a run begins to use it.
CREATE TABLE artifact_use (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    digest text NOT NULL,
    media_type text NOT NULL CHECK (media_type IN ('application/json', 'text/plain')),
    data_class smallint NOT NULL CHECK (data_class BETWEEN 0 AND 3),
    PRIMARY KEY (run_id, digest, media_type, data_class),
    FOREIGN KEY (org_id, digest) REFERENCES artifact
);
CREATE INDEX artifact_use_by_digest ON artifact_use (org_id, digest);
SELECT signoff_protect('artifact_use');
REVOKE UPDATE, DELETE ON artifact, artifact_chunk, artifact_use FROM signoff_app, signoff_worker;

-- Search attributes: rows under btree indexes, since under row-level security operators of GIN are not used, nor is
-- numeric's equality, which is not leakproof (rule 11). Prefixes are ranges under the collation "C".
CREATE TABLE run_attribute (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
    text_value text COLLATE "C" CHECK (length(text_value) <= 512),
    integer_value bigint,
    number_value double precision,
    moment_value timestamptz,
    PRIMARY KEY (run_id, name),
    CONSTRAINT run_attribute_has_one_value
        CHECK (num_nonnulls(text_value, integer_value, number_value, moment_value) = 1)
);
CREATE INDEX run_attribute_text ON run_attribute (org_id, name, text_value, run_id) WHERE text_value IS NOT NULL;
CREATE INDEX run_attribute_integer ON run_attribute (org_id, name, integer_value, run_id)
    WHERE integer_value IS NOT NULL;
CREATE INDEX run_attribute_number ON run_attribute (org_id, name, number_value, run_id) WHERE number_value IS NOT NULL;
CREATE INDEX run_attribute_moment ON run_attribute (org_id, name, moment_value, run_id) WHERE moment_value IS NOT NULL;
SELECT signoff_protect('run_attribute');

-- Words of attributes and errors. Names of workflows and outcomes are few, and are looked up as they are.
CREATE TABLE run_word (
    org_id uuid NOT NULL,
    word text COLLATE "C" NOT NULL CHECK (length(word) BETWEEN 1 AND 64),
    run_id uuid NOT NULL,
    PRIMARY KEY (org_id, word, run_id)
);
CREATE INDEX run_word_by_run ON run_word (run_id);
SELECT signoff_protect('run_word');

-- The highest class of what a run's steps read or gave, to find runs by.
ALTER TABLE run_view ADD COLUMN data_class smallint NOT NULL DEFAULT 0 CHECK (data_class BETWEEN 0 AND 3);

-- On the table that never changes: a view is written three times in a run's life, and each index of it with it.
CREATE INDEX run_by_workflow ON run (org_id, workflow, run_id DESC);
DROP INDEX run_view_list;
CREATE INDEX run_view_by_outcome ON run_view (org_id, outcome, run_id DESC) WHERE outcome IS NOT NULL;

-- Which finished runs leave, and where they went. Planned first, so that one that was interrupted is gone on with.
CREATE TABLE retention_batch (
    org_id uuid NOT NULL REFERENCES organisation,
    batch_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('planned', 'archived', 'dropped')),
    run_ids uuid[] NOT NULL CHECK (cardinality(run_ids) BETWEEN 1 AND 5000),
    ended_before timestamptz NOT NULL,
    archive text,
    file text,
    file_digest text,
    file_bytes bigint,
    events bigint,
    dropped_runs integer,
    planned_at timestamptz NOT NULL,
    dropped_at timestamptz,
    PRIMARY KEY (org_id, batch_id),
    CONSTRAINT retention_batch_archived CHECK (
        (status = 'planned' AND file IS NULL) OR status <> 'planned' AND (archive IS NULL) = (file_digest IS NULL)),
    CONSTRAINT retention_batch_dropped CHECK ((status = 'dropped') = (dropped_at IS NOT NULL))
);
CREATE INDEX retention_batch_open ON retention_batch (org_id, batch_id) WHERE status <> 'dropped';
SELECT signoff_protect('retention_batch');
REVOKE INSERT, UPDATE, DELETE ON retention_batch FROM signoff_app;

-- Neither role may change or delete events. What retention may do runs as the tables' owner: drop the finished runs of
-- a recorded batch, and partitions that are over and empty. FORCE holds the owner to policies too.
DO $policies$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['run', 'run_view', 'run_queue', 'journal', 'inbox', 'approval_use', 'emitted_event',
        'review', 'artifact', 'artifact_use', 'run_attribute', 'run_word', 'event_wait', 'event_taken', 'run_call',
        'retention_batch'] LOOP
        EXECUTE format('CREATE POLICY owner_retires ON %I TO CURRENT_USER USING (true)', target);
    END LOOP;
END
$policies$;

-- All that there is of a batch's runs, in the caller's transaction: both or neither. A run that is not finished, or was
-- taken up again since, stays. A run with an idempotency key keeps its row in `run`: the key means it for ever.
CREATE FUNCTION signoff_retire_batch(wanted_org uuid, wanted_batch uuid, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $retire$
DECLARE
    batch public.retention_batch;
    leaving uuid[];
    unused text[];
    target text;
BEGIN
    SELECT * INTO batch FROM public.retention_batch
    WHERE org_id = wanted_org AND batch_id = wanted_batch AND status <> 'dropped' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    IF batch.archive IS NOT NULL AND batch.status <> 'archived' THEN
        RAISE EXCEPTION 'batch % is not archived yet', wanted_batch;
    END IF;
    SELECT coalesce(array_agg(run_id), '{}') INTO leaving FROM (
        SELECT v.run_id FROM public.run_view v
        WHERE v.org_id = wanted_org AND v.run_id = ANY (batch.run_ids)
            AND v.status IN ('done', 'failed', 'cancelled', 'terminated') AND v.ended_at < batch.ended_before
            AND NOT EXISTS (SELECT FROM public.run_queue q WHERE q.run_id = v.run_id)
        ORDER BY v.run_id FOR UPDATE OF v
    ) finished;
    DELETE FROM public.approval_use u USING public.review r
    WHERE r.org_id = wanted_org AND r.run_id = ANY (leaving) AND u.review_id = r.review_id;
    SELECT coalesce(array_agg(DISTINCT digest), '{}') INTO unused FROM public.artifact_use
    WHERE org_id = wanted_org AND run_id = ANY (leaving);
    -- Planned anew each time, so that only the months are looked at which these runs are in.
    FOREACH target IN ARRAY ARRAY['review', 'emitted_event', 'inbox', 'artifact_use', 'run_attribute', 'run_word',
        'event_wait', 'event_taken', 'journal', 'run_view'] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE org_id = $1 AND run_id = ANY ($2)', target)
        USING wanted_org, leaving;
    END LOOP;
    DELETE FROM public.run_call WHERE org_id = wanted_org AND parent_id = ANY (leaving);
    DELETE FROM public.run WHERE org_id = wanted_org AND run_id = ANY (leaving) AND idempotency_key IS NULL;
    -- Locked first and asked then: a run that began to use one meanwhile has it locked until its use can be seen.
    PERFORM FROM public.artifact WHERE org_id = wanted_org AND digest = ANY (unused) ORDER BY digest FOR UPDATE;
    DELETE FROM public.artifact a WHERE a.org_id = wanted_org AND a.digest = ANY (unused)
        AND NOT EXISTS (SELECT FROM public.artifact_use u WHERE u.org_id = a.org_id AND u.digest = a.digest);
    UPDATE public.retention_batch
    SET status = 'dropped', dropped_at = moment, dropped_runs = cardinality(leaving)
    WHERE org_id = wanted_org AND batch_id = wanted_batch;
    RETURN cardinality(leaving);
END
$retire$;

-- A month that is over, in which nothing is left and to which no run in the queue belongs. Gives up rather than letting
-- appends wait for its locks.
CREATE FUNCTION signoff_drop_journal_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $drop$
DECLARE
    first_day date := date_trunc('month', month)::date;
    name text := 'journal_' || to_char(first_day, 'YYYY_MM');
    empty boolean;
BEGIN
    IF to_regclass('public.' || name) IS NULL OR now() < (first_day + interval '2 months') AT TIME ZONE 'UTC' THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM public.%I)', name) INTO empty;
    IF NOT empty OR EXISTS (
        SELECT FROM public.run_queue
        WHERE run_id >= public.signoff_first_run_id(first_day::timestamp AT TIME ZONE 'UTC')
            AND run_id < public.signoff_first_run_id((first_day + interval '1 month') AT TIME ZONE 'UTC')
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', name);
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM public.%I)', name) INTO empty;
    IF empty THEN
        EXECUTE format('DROP TABLE public.%I', name);
    END IF;
    RETURN empty;
END
$drop$;

REVOKE ALL ON FUNCTION signoff_retire_batch(uuid, uuid, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION signoff_drop_journal_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signoff_retire_batch(uuid, uuid, timestamptz) TO signoff_worker;
GRANT EXECUTE ON FUNCTION signoff_drop_journal_month(date) TO signoff_worker;
