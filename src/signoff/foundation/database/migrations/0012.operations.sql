-- Operations on runs: two more statuses, a release that may change, reviews that are asked again; and less that programs
-- may change.
-- depends: 0001.foundation 0010.runtime 0060.reviews

ALTER TABLE run_view DROP CONSTRAINT run_view_status_check, DROP CONSTRAINT run_view_ended;
ALTER TABLE run_view
    ADD CONSTRAINT run_view_status_check CHECK (status IN
        ('queued', 'waiting', 'paused', 'stuck', 'done', 'failed', 'cancelled', 'terminated')),
    ADD CONSTRAINT run_view_ended
        CHECK ((ended_at IS NOT NULL) = (status IN ('done', 'failed', 'cancelled', 'terminated'))),
    -- What it was moved to; none where it still has the release that it started with.
    ADD COLUMN release text,
    ADD COLUMN workflow_version text;

-- A run that goes on after its end may ask the same step's question anew.
ALTER TABLE review ADD COLUMN generation integer NOT NULL DEFAULT 0 CHECK (generation >= 0);
ALTER TABLE review DROP CONSTRAINT review_once_per_step;
ALTER TABLE review ADD CONSTRAINT review_once_per_step UNIQUE (org_id, run_id, path, generation);

-- What a run is never changes; an approval that was used stays used; only a key's generation moves on.
REVOKE UPDATE, DELETE ON run, approval_use, effect_key FROM signoff_app, signoff_worker;
GRANT UPDATE (generation) ON effect_key TO signoff_worker;
