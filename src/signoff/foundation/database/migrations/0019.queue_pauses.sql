-- A queue that somebody has paused lets nothing new through.
-- depends: 0001.foundation 0013.starts
ALTER TABLE queue
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN paused_by text,
    ADD COLUMN paused_reason text,
    ADD CONSTRAINT queue_paused CHECK ((paused_at IS NULL) = (paused_by IS NULL));
