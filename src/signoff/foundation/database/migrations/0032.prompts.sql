-- The prompt registry: every version that was ever released, as it was, and how good it was found to be.
-- depends: 0001.foundation 0030.catalog

-- The source is kept here too, so that history and differences outlive the releases it was in.
CREATE TABLE prompt_version (
    org_id uuid NOT NULL REFERENCES organisation,
    project text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL CHECK (name <> ''),
    version text NOT NULL CHECK (version ~ '^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$'),
    place integer[] NOT NULL GENERATED ALWAYS AS (string_to_array(version, '.')::integer[]) STORED,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    file text NOT NULL,
    source text NOT NULL CHECK (octet_length(source) <= 1048576),
    previous text,
    bump text NOT NULL CHECK (bump IN ('first', 'major', 'minor', 'patch')),
    changes jsonb NOT NULL,
    owners text[] NOT NULL,
    data_class smallint NOT NULL CHECK (data_class BETWEEN 0 AND 3),
    quality jsonb NOT NULL,
    message text NOT NULL CHECK (char_length(message) <= 2000),
    release text NOT NULL,
    released_at timestamptz NOT NULL,
    released_by jsonb NOT NULL,
    PRIMARY KEY (org_id, project, name, version),
    CONSTRAINT prompt_version_has_a_previous CHECK ((previous IS NULL) = (bump = 'first'))
);
CREATE INDEX prompt_version_by_place ON prompt_version (org_id, project, name, place DESC);
SELECT signoff_protect('prompt_version');
REVOKE UPDATE, DELETE ON prompt_version FROM signoff_app, signoff_worker;

-- What evaluations measured. Scores are added, never changed: a new measurement is a new row.
CREATE TABLE prompt_score (
    org_id uuid NOT NULL REFERENCES organisation,
    score_id uuid NOT NULL,
    project text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version text NOT NULL,
    metric text NOT NULL CHECK (metric ~ '^[a-z][a-z0-9_]{0,62}$'),
    value double precision NOT NULL CHECK (value > '-Infinity' AND value < 'Infinity'),
    n integer NOT NULL CHECK (n > 0),
    dataset text NOT NULL CHECK (char_length(dataset) BETWEEN 1 AND 200),
    model text NOT NULL CHECK (char_length(model) BETWEEN 1 AND 200),
    scored_at timestamptz NOT NULL,
    scored_by jsonb NOT NULL,
    PRIMARY KEY (org_id, score_id),
    FOREIGN KEY (org_id, project, name, version) REFERENCES prompt_version
);
CREATE INDEX prompt_score_by_version ON prompt_score (org_id, project, name, version, metric, scored_at DESC);
SELECT signoff_protect('prompt_score');
REVOKE UPDATE, DELETE ON prompt_score FROM signoff_app, signoff_worker;
