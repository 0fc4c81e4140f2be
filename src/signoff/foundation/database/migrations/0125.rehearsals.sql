-- Dry runs of moving a run to another release's code: asked for by the control plane, which runs no code of projects,
-- answered by a worker, and kept with who asked.
-- depends: 0001.foundation 0010.runtime
CREATE TABLE run_rehearsal (
    rehearsal_id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organisation,
    run_id uuid NOT NULL,
    release text NOT NULL,
    workflow text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    -- Whoever asked waits no longer than this.
    expires_at timestamptz NOT NULL,
    -- By how many workers it was taken: code that kills its worker must not kill them all.
    takes integer NOT NULL DEFAULT 0 CHECK (takes >= 0),
    taken_at timestamptz,
    answered_at timestamptz,
    -- The last event of the journal that was looked at.
    last_seq integer,
    differences bytea,
    -- Why there are none to tell of.
    problem text,
    CHECK ((answered_at IS NULL) OR (differences IS NOT NULL) OR (problem IS NOT NULL))
);
CREATE INDEX run_rehearsal_open ON run_rehearsal (asked_at) WHERE answered_at IS NULL;
CREATE INDEX run_rehearsal_by_organisation ON run_rehearsal (org_id, asked_at);
SELECT signoff_protect('run_rehearsal');
