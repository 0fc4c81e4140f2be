-- A claim begins behind the run that was claimed last in a lane, also where many are due at the same moment: with the id
-- in the index that place is one entry. What was claimed before is passed over by no scan then, although a snapshot that
-- somebody keeps open does not let it be removed.
-- depends: 0001.foundation 0013.starts

DROP INDEX run_queue_free;
CREATE INDEX run_queue_free ON run_queue (org_id, team, priority, due_at, run_id) WHERE owner IS NULL AND gate IS NULL;
