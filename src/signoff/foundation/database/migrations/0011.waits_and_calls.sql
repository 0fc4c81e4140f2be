-- Waits for events from outside, called workflows, runs that continue as new ones, workers that one step kills.
-- depends: 0001.foundation 0010.runtime

-- Events as they came: kept for a time, so that one may come before its wait, and so that the same one twice changes
-- nothing. `projects`: whose policies let it in. `matched`: whether any wait has taken it.
CREATE TABLE received_event (
    event_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organisation,
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    sent_by text NOT NULL,
    projects text[] NOT NULL,
    received_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    matched boolean NOT NULL DEFAULT false,
    data bytea NOT NULL CHECK (octet_length(data) <= 1048576),
    CONSTRAINT received_event_once UNIQUE (org_id, source, event_id)
);
CREATE INDEX received_event_by_type ON received_event (org_id, type, event_no);
CREATE INDEX received_event_expiry ON received_event (org_id, expires_at);
SELECT signoff_protect('received_event');

-- Which fields the waits for a type of event compare. An event is filed under the digest of the values of each such set.
CREATE TABLE event_shape (
    org_id uuid NOT NULL,
    type text NOT NULL,
    fields text[] NOT NULL,
    PRIMARY KEY (org_id, type, fields)
);
SELECT signoff_protect('event_shape');

CREATE TABLE received_event_key (
    org_id uuid NOT NULL,
    type text NOT NULL,
    digest text NOT NULL,
    event_no bigint NOT NULL REFERENCES received_event ON DELETE CASCADE,
    PRIMARY KEY (org_id, type, digest, event_no)
);
CREATE INDEX received_event_key_by_event ON received_event_key (event_no);
SELECT signoff_protect('received_event_key');

CREATE TABLE event_wait (
    run_id uuid NOT NULL,
    path text NOT NULL,
    org_id uuid NOT NULL,
    project text NOT NULL,
    chain_id uuid NOT NULL,
    type text NOT NULL,
    digest text NOT NULL,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, path)
);
CREATE INDEX event_wait_by_key ON event_wait (org_id, type, digest);
SELECT signoff_protect('event_wait');

-- What a run was given, so that a later wait of the same run (or of the run that it continues as) gets the next one.
CREATE TABLE event_taken (
    chain_id uuid NOT NULL,
    run_id uuid NOT NULL,
    path text NOT NULL,
    event_no bigint NOT NULL REFERENCES received_event ON DELETE CASCADE,
    org_id uuid NOT NULL,
    PRIMARY KEY (chain_id, event_no, run_id, path)
);
CREATE INDEX event_taken_by_step ON event_taken (run_id, path);
CREATE INDEX event_taken_by_event ON event_taken (event_no);
SELECT signoff_protect('event_taken');

-- A called workflow: one run per try of the step that calls it. child_id moves on where the child continues as another.
CREATE TABLE run_call (
    parent_id uuid NOT NULL,
    path text NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    org_id uuid NOT NULL,
    child_id uuid NOT NULL,
    PRIMARY KEY (parent_id, path, attempt)
);
CREATE INDEX run_call_by_child ON run_call (child_id);
SELECT signoff_protect('run_call');

-- How often a worker died with the run in the same place of its journal; and which place that was.
ALTER TABLE run_queue
    ADD COLUMN crashes smallint NOT NULL DEFAULT 0,
    ADD COLUMN crashed_at text;

-- A reader's cursor. Ids are made before the commit, so that a reader who goes by them could skip one that commits late.
-- Places are given under a lock per organisation that is held until the commit: they become visible in their order.
ALTER TABLE emitted_event ADD COLUMN place bigint;
UPDATE emitted_event e SET place = p.place
FROM (SELECT run_id, path, row_number() OVER (ORDER BY event_id) AS place FROM emitted_event) p
WHERE e.run_id = p.run_id AND e.path = p.path;
CREATE SEQUENCE emitted_event_place AS bigint;
SELECT setval('emitted_event_place', (SELECT coalesce(max(place), 0) + 1 FROM emitted_event), false);
ALTER TABLE emitted_event ALTER COLUMN place SET NOT NULL;
ALTER SEQUENCE emitted_event_place OWNED BY emitted_event.place;
GRANT USAGE ON SEQUENCE emitted_event_place TO signoff_app, signoff_worker;
DROP INDEX emitted_event_by_time;
CREATE UNIQUE INDEX emitted_event_by_place ON emitted_event (org_id, place);
