-- Labels of prompt versions, with their history; and why an environment got a release that misses its thresholds.
-- depends: 0001.foundation 0031.environments 0032.prompts

-- `version` is none where the label was taken away; `place` counts its moves, so that no mover loses another's.
CREATE TABLE prompt_label (
    org_id uuid NOT NULL REFERENCES organisation,
    project text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    label text COLLATE "C" NOT NULL CHECK (label ~ '^[a-z][a-z0-9-]{0,62}$'),
    version text,
    place bigint NOT NULL CHECK (place > 0),
    PRIMARY KEY (org_id, project, name, label),
    FOREIGN KEY (org_id, project, name, version) REFERENCES prompt_version
);
SELECT signoff_protect('prompt_label');
REVOKE DELETE ON prompt_label FROM signoff_app, signoff_worker;

-- Every move of a label, for ever.
CREATE TABLE prompt_label_change (
    org_id uuid NOT NULL REFERENCES organisation,
    project text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    label text COLLATE "C" NOT NULL,
    place bigint NOT NULL CHECK (place > 0),
    version text,
    before text,
    reason text NOT NULL CHECK (char_length(reason) <= 2000),
    changed_at timestamptz NOT NULL,
    changed_by jsonb NOT NULL,
    PRIMARY KEY (org_id, project, name, label, place),
    FOREIGN KEY (org_id, project, name, label) REFERENCES prompt_label
);
SELECT signoff_protect('prompt_label_change');
REVOKE UPDATE, DELETE ON prompt_label_change FROM signoff_app, signoff_worker;

-- Who deployed in spite of a threshold, why, and what was missed.
ALTER TABLE environment_change ADD COLUMN quality_override jsonb;
