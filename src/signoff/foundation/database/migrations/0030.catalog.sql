-- Releases: what runs pin for life, content-addressed, and the environments that point at them.
-- depends: 0001.foundation

-- Contents are kept once per organisation, not once for all: whether another organisation has a file must not show.
CREATE TABLE release_content (
    org_id uuid NOT NULL REFERENCES organisation,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    content bytea NOT NULL,
    PRIMARY KEY (org_id, digest)
);

CREATE TABLE release (
    org_id uuid NOT NULL REFERENCES organisation,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    project text NOT NULL CHECK (project <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by jsonb NOT NULL,
    PRIMARY KEY (org_id, digest)
);

CREATE INDEX release_by_project ON release (org_id, project, created_at DESC);

CREATE TABLE release_file (
    org_id uuid NOT NULL REFERENCES organisation,
    release text NOT NULL,
    path text NOT NULL CHECK (path <> '' AND path !~ '(^|/)\.\.?(/|$)' AND path !~ '^/'),
    content_digest text NOT NULL,
    PRIMARY KEY (org_id, release, path),
    FOREIGN KEY (org_id, release) REFERENCES release (org_id, digest),
    FOREIGN KEY (org_id, content_digest) REFERENCES release_content (org_id, digest)
);

CREATE TABLE environment (
    org_id uuid NOT NULL REFERENCES organisation,
    project text NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    release text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (org_id, project, name),
    FOREIGN KEY (org_id, release) REFERENCES release (org_id, digest)
);

-- Every move of an environment, for ever: who pointed it where and when. `version` counts them from 1.
CREATE TABLE environment_change (
    org_id uuid NOT NULL REFERENCES organisation,
    project text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    release text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by jsonb NOT NULL,
    PRIMARY KEY (org_id, project, name, version),
    FOREIGN KEY (org_id, project, name) REFERENCES environment (org_id, project, name),
    FOREIGN KEY (org_id, release) REFERENCES release (org_id, digest)
);

SELECT signoff_protect('release_content');
SELECT signoff_protect('release');
SELECT signoff_protect('release_file');
SELECT signoff_protect('environment');
SELECT signoff_protect('environment_change');

-- Releases and the history of environments are immutable for the program too, not only by its good manners.
REVOKE UPDATE, DELETE ON release_content, release, release_file, environment_change FROM signoff_app, signoff_worker;
