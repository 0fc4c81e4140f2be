-- depends: 0001.foundation 0010.runtime 0011.waits_and_calls
-- Personal data that steps of a run took out for a model, by the tokens that stand for it (docs/reference/privacy.md).

-- One row for each run, or for each family of runs: a called run uses its caller's, one that continues another uses the
-- first one's. It leaves with that run (ON DELETE CASCADE), and is in no archive.
CREATE TABLE run_vault (
    org_id uuid NOT NULL REFERENCES organisation,
    run_id uuid PRIMARY KEY REFERENCES run_view ON DELETE CASCADE,
    -- Randomness that its tokens have in them, so that nobody can write one who was not shown it.
    nonce text NOT NULL CHECK (nonce ~ '^[a-z2-7]{8}$'),
    -- Who writes says which version was read: of two that add values at once one reads again.
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    -- JSON: token to value.
    tokens bytea NOT NULL CHECK (octet_length(tokens) <= 8388608)
);
SELECT signoff_protect('run_vault');
