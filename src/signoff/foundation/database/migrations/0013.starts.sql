-- Starts: teams, queues with slots and token buckets, deduplicated and debounced starts, schedules.
-- depends: 0001.foundation 0010.runtime 0030.catalog

-- gate: 'key' waits for a slot of its key, 'queue' for one of its queue, 'back' for one to go on with after it gave its
-- own back while a person decided; only a run without a gate may be claimed.
-- not_before: a message does not make a delayed run begin early. admitted_at: when its queue first let it go.
-- journal_bytes: what the run will take in a worker's memory, as of its last rest.
ALTER TABLE run_queue
    ADD COLUMN team text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN queue text COLLATE "C",
    ADD COLUMN queue_key text COLLATE "C",
    ADD COLUMN gate text COLLATE "C" CHECK (gate IN ('key', 'queue', 'back')),
    ADD COLUMN yields boolean NOT NULL DEFAULT false,
    ADD COLUMN not_before timestamptz,
    ADD COLUMN admitted_at timestamptz,
    ADD COLUMN journal_bytes bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT run_queue_gate_of_a_queue CHECK (gate IS NULL OR queue IS NOT NULL),
    ADD CONSTRAINT run_queue_gate_or_owner CHECK (gate IS NULL OR owner IS NULL);

-- Claims walk (organisation, team, priority) with a loose scan. A run behind a gate is not in it: it costs a claim nothing.
DROP INDEX run_queue_free;
CREATE INDEX run_queue_free ON run_queue (org_id, team, priority, due_at) WHERE owner IS NULL AND gate IS NULL;
CREATE INDEX run_queue_gated ON run_queue (org_id, queue, team, priority, due_at) WHERE gate = 'queue';
CREATE INDEX run_queue_gated_by_key ON run_queue (org_id, queue, queue_key, priority, due_at) WHERE gate = 'key';
CREATE INDEX run_queue_coming_back ON run_queue (org_id, queue, due_at) WHERE gate = 'back';

-- The first due runs of a lane, for claims: LIMIT takes an argument of a function, but no column.
CREATE FUNCTION signoff_due_runs(org_id uuid, team text, priority smallint, due_at timestamptz, most bigint)
RETURNS TABLE (run_id uuid, run_due_at timestamptz, journal_bytes bigint)
LANGUAGE sql VOLATILE ROWS 16
SET search_path = pg_catalog, public, pg_temp
AS $due$
    SELECT q.run_id, q.due_at, q.journal_bytes FROM public.run_queue q
    WHERE q.owner IS NULL AND q.gate IS NULL AND q.org_id = $1 AND q.team = $2 AND q.priority = $3 AND q.due_at <= $4
    ORDER BY q.due_at LIMIT $5 FOR UPDATE SKIP LOCKED
$due$;
REVOKE ALL ON FUNCTION signoff_due_runs(uuid, text, smallint, timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signoff_due_runs(uuid, text, smallint, timestamptz, bigint) TO signoff_worker;

-- What projects declare, as of the release that was applied last. The row's lock makes one admission at a time of each.
CREATE TABLE queue (
    org_id uuid NOT NULL REFERENCES organisation,
    queue text COLLATE "C" NOT NULL CHECK (queue <> ''),
    limits jsonb NOT NULL,
    declared boolean NOT NULL DEFAULT true,
    PRIMARY KEY (org_id, queue)
);
SELECT signoff_protect('queue');

-- A slot is a row: two runs can never have the same one, whatever else goes wrong. It stays with its run, whoever
-- executes that, until the run ends or (declared) waits for a person.
CREATE TABLE queue_slot (
    org_id uuid NOT NULL REFERENCES organisation,
    queue text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL CHECK (scope IN ('queue', 'team', 'key')),
    label text COLLATE "C" NOT NULL,
    slot integer NOT NULL CHECK (slot > 0),
    run_id uuid NOT NULL,
    PRIMARY KEY (org_id, queue, scope, label, slot)
);
CREATE UNIQUE INDEX queue_slot_by_run ON queue_slot (run_id, scope);
SELECT signoff_protect('queue_slot');

CREATE TABLE queue_bucket (
    org_id uuid NOT NULL REFERENCES organisation,
    queue text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL CHECK (scope IN ('queue', 'team', 'key')),
    label text COLLATE "C" NOT NULL,
    tokens double precision NOT NULL CHECK (tokens >= 0),
    filled_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, queue, scope, label)
);
SELECT signoff_protect('queue_bucket');

-- What admission has to look at, and when: a run that came, a slot that came free, tokens that will be there. Written
-- in the transaction that causes it, so nothing is forgotten whoever dies; nobody looks at runs that wait.
CREATE TABLE queue_turn (
    turn_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organisation,
    queue text COLLATE "C" NOT NULL,
    queue_key text COLLATE "C",
    due_at timestamptz NOT NULL
);
CREATE INDEX queue_turn_due ON queue_turn (due_at, org_id, queue);
CREATE INDEX queue_turn_by_queue ON queue_turn (org_id, queue, due_at);
SELECT signoff_protect('queue_turn');

CREATE FUNCTION signoff_queue_turn() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $turn$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM public.queue_slot WHERE run_id = OLD.run_id;
        INSERT INTO public.queue_turn (org_id, queue, queue_key, due_at)
        VALUES (OLD.org_id, OLD.queue, OLD.queue_key, '-infinity');
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.gate IS NULL THEN
        -- It waits for a person: the key's slot stays its own, what the queue and the team lent goes back.
        DELETE FROM public.queue_slot WHERE run_id = NEW.run_id AND scope <> 'key';
        INSERT INTO public.queue_turn (org_id, queue, due_at) VALUES (NEW.org_id, NEW.queue, '-infinity');
    END IF;
    INSERT INTO public.queue_turn (org_id, queue, queue_key, due_at)
    VALUES (NEW.org_id, NEW.queue, NEW.queue_key, NEW.due_at);
    RETURN NULL;
END
$turn$;
REVOKE ALL ON FUNCTION signoff_queue_turn() FROM PUBLIC;

-- The conditions keep all this away from runs without a queue.
CREATE TRIGGER run_queue_came AFTER INSERT ON run_queue FOR EACH ROW
    WHEN (NEW.gate IS NOT NULL) EXECUTE FUNCTION signoff_queue_turn();
CREATE TRIGGER run_queue_left AFTER DELETE ON run_queue FOR EACH ROW
    WHEN (OLD.queue IS NOT NULL) EXECUTE FUNCTION signoff_queue_turn();
CREATE TRIGGER run_queue_turned AFTER UPDATE OF gate, due_at ON run_queue FOR EACH ROW
    WHEN (NEW.gate IS NOT NULL AND (OLD.gate IS NULL OR NEW.due_at < OLD.due_at)) EXECUTE FUNCTION signoff_queue_turn();

-- The run that the first start with a key began; further ones give it while the window lasts.
CREATE TABLE start_deduplicated (
    org_id uuid NOT NULL REFERENCES organisation,
    project text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (org_id, project, workflow, key)
);
CREATE INDEX start_deduplicated_over ON start_deduplicated (until);
SELECT signoff_protect('start_deduplicated');

-- A run that begins once its key has been quiet; later starts replace what it will begin with.
CREATE TABLE start_debounced (
    org_id uuid NOT NULL REFERENCES organisation,
    project text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL,
    first_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    starts integer NOT NULL CHECK (starts > 0),
    request bytea NOT NULL,
    PRIMARY KEY (org_id, project, workflow, key)
);
CREATE INDEX start_debounced_due ON start_debounced (due_at);
SELECT signoff_protect('start_debounced');

-- Which release's queues and schedules are in force, by environment. Workers apply them as they find another one.
CREATE TABLE starts_applied (
    org_id uuid NOT NULL REFERENCES organisation,
    project text NOT NULL,
    environment text NOT NULL,
    release text NOT NULL,
    PRIMARY KEY (org_id, project, environment)
);
SELECT signoff_protect('starts_applied');

-- next_at is the next nominal time, and the fence: whoever fires moves it on from what was read.
CREATE TABLE schedule (
    org_id uuid NOT NULL REFERENCES organisation,
    environment text NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    workflow text NOT NULL,
    spec jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    next_at timestamptz,
    paused_at timestamptz,
    paused_by text,
    paused_reason text,
    last_run_id uuid,
    PRIMARY KEY (org_id, environment, project, name),
    CONSTRAINT schedule_paused_by_somebody CHECK ((paused_at IS NULL) = (paused_by IS NULL))
);
CREATE INDEX schedule_due ON schedule (environment, next_at) WHERE next_at IS NOT NULL;
SELECT signoff_protect('schedule');

CREATE TABLE schedule_firing (
    org_id uuid NOT NULL REFERENCES organisation,
    environment text NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    nominal_at timestamptz NOT NULL,
    cause text NOT NULL CHECK (cause IN ('time', 'catch_up', 'backfill', 'trigger')),
    status text NOT NULL CHECK (status IN ('started', 'waiting', 'skipped', 'missed', 'failed')),
    recorded_at timestamptz NOT NULL,
    run_id uuid,
    detail text NOT NULL DEFAULT '',
    PRIMARY KEY (org_id, environment, project, name, nominal_at, cause),
    FOREIGN KEY (org_id, environment, project, name) REFERENCES schedule ON DELETE CASCADE,
    CONSTRAINT schedule_firing_started_a_run CHECK ((run_id IS NOT NULL) = (status = 'started'))
);
CREATE INDEX schedule_firing_waits ON schedule_firing (environment, org_id, project, name, nominal_at) WHERE status = 'waiting';
SELECT signoff_protect('schedule_firing');
