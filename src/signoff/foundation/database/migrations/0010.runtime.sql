-- The engine's tables (decision 0002, rules 1 to 8). Ownership, facts and what people look at are kept apart:
-- run (immutable facts), run_queue (narrow, the authority on who works), run_view (a projection of the journal).
-- depends: 0001.foundation

-- One row per live worker process. Deleting it fences the worker: its appends join this row and then insert nothing.
CREATE TABLE worker_session (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    process_id integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE, DELETE ON worker_session TO signoff_worker;
GRANT SELECT ON worker_session TO signoff_app;

CREATE TABLE run (
    run_id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organisation,
    workflow text NOT NULL,
    workflow_version text NOT NULL,
    release text NOT NULL,
    idempotency_key text,
    request_digest text NOT NULL,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL
);
-- The same key starts the same run, for ever, within one organisation.
CREATE UNIQUE INDEX run_idempotency ON run (org_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX run_by_time ON run (org_id, run_id DESC);
SELECT signoff_protect('run');

CREATE TABLE run_queue (
    run_id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    priority smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 9),
    due_at timestamptz NOT NULL,
    owner uuid,
    gen bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
-- Claims walk (organisation, priority) pairs with a loose scan, so that one team's backlog cannot hide another's run.
CREATE INDEX run_queue_free ON run_queue (org_id, priority, due_at) WHERE owner IS NULL;
CREATE INDEX run_queue_owned ON run_queue (owner) WHERE owner IS NOT NULL;
SELECT signoff_protect('run_queue');

CREATE TABLE run_view (
    run_id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    workflow text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('queued', 'waiting', 'stuck', 'done', 'failed', 'cancelled')),
    outcome text,
    waiting_for jsonb NOT NULL DEFAULT '[]',
    error jsonb,
    usage jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT run_view_ended CHECK ((ended_at IS NOT NULL) = (status IN ('done', 'failed', 'cancelled'))),
    CONSTRAINT run_view_outcome CHECK (outcome IS NULL OR status = 'done')
) WITH (fillfactor = 70);
CREATE INDEX run_view_list ON run_view (org_id, run_id DESC);
CREATE INDEX run_view_by_status ON run_view (org_id, status, run_id DESC);
SELECT signoff_protect('run_view');

-- The journal: appended to, never changed. Data is bytea because jsonb would not keep the bytes that are later hashed.
CREATE TABLE journal (
    run_id uuid NOT NULL,
    seq integer NOT NULL CHECK (seq > 0),
    org_id uuid NOT NULL,
    kind text NOT NULL,
    recorded_at timestamptz NOT NULL,
    session_id uuid,
    data bytea NOT NULL,
    PRIMARY KEY (run_id, seq)
);
SELECT signoff_protect('journal');
REVOKE UPDATE, DELETE ON journal FROM signoff_app, signoff_worker;

CREATE TABLE inbox (
    message_id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    path text NOT NULL,
    kind text NOT NULL,
    sent_by text NOT NULL,
    sent_at timestamptz NOT NULL,
    data bytea NOT NULL CHECK (octet_length(data) <= 1048576)
);
CREATE INDEX inbox_by_run ON inbox (run_id, message_id);
SELECT signoff_protect('inbox');

-- An approval is consumed once, in the transaction that records the effect's intent.
CREATE TABLE approval_use (
    review_id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    path text NOT NULL,
    seq integer NOT NULL,
    digest text NOT NULL
);
SELECT signoff_protect('approval_use');

-- After an undo the same business key must act again: the key that is sent carries this generation.
CREATE TABLE effect_key (
    org_id uuid NOT NULL,
    key text NOT NULL,
    generation integer NOT NULL CHECK (generation > 0),
    PRIMARY KEY (org_id, key)
);
SELECT signoff_protect('effect_key');

-- Events that workflows emitted, for whoever reads them on. One per step of a run, so a retried step adds none; ids
-- grow with time, so a reader's cursor is an id.
CREATE TABLE emitted_event (
    event_id uuid NOT NULL UNIQUE,
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    path text NOT NULL,
    type text NOT NULL,
    emitted_at timestamptz NOT NULL,
    data bytea NOT NULL,
    labels jsonb NOT NULL,
    PRIMARY KEY (run_id, path)
);
CREATE INDEX emitted_event_by_time ON emitted_event (org_id, event_id);
SELECT signoff_protect('emitted_event');
