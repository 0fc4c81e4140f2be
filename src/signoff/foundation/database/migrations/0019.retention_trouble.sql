-- What keeps a batch of retention from being finished, and when it is tried again: others go on meanwhile.
-- depends: 0001.foundation 0014.storage
ALTER TABLE retention_batch
    ADD COLUMN project text,
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN problem text,
    ADD COLUMN retry_at timestamptz;
