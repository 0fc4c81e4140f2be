-- depends: 0001.foundation
-- Answers of models that may be given again to the same question of the same principal (docs/reference/limits.md).

CREATE TABLE model_answer (
    org_id uuid NOT NULL REFERENCES organisation,
    -- SHA-256 of the question and of all that it was asked under.
    question text COLLATE "C" NOT NULL CHECK (question ~ '^[0-9a-f]{64}$'),
    -- Who asks a model now, so that others wait; until when, as it may die.
    claim uuid NOT NULL,
    claimed_until timestamptz NOT NULL,
    reply bytea,
    kept_at timestamptz,
    expires_at timestamptz,
    PRIMARY KEY (org_id, question),
    CHECK ((reply IS NULL) = (kept_at IS NULL) AND (reply IS NULL) = (expires_at IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX model_answer_by_age ON model_answer (org_id, kept_at);
SELECT signoff_protect('model_answer');
