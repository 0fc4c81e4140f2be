-- Events that workflows emit also go to runs that wait for them.
-- depends: 0001.foundation 0011.waits_and_calls

-- Of an event that a run emitted: they follow its data to whoever takes it. None of one from outside.
ALTER TABLE received_event ADD COLUMN labels jsonb;
-- How many are kept is bounded for those from outside only.
CREATE INDEX received_event_from_outside ON received_event (org_id) WHERE labels IS NULL;
