-- depends: 0001.foundation 0013.starts 0134.claims_behind
-- Of runs that are due at the very same moment the first by id come first, as the index has them since 0134. A worker goes
-- on in a lane behind the last run that it claimed there (runtime/claims/lanes.py): one that was passed over had to wait
-- for a look at the whole queue.
CREATE OR REPLACE FUNCTION signoff_due_runs(
    org_id uuid, team text, priority smallint, due_at timestamptz, most bigint
)
RETURNS TABLE (run_id uuid, run_due_at timestamptz, journal_bytes bigint)
LANGUAGE sql VOLATILE ROWS 16
SET search_path = pg_catalog, public, pg_temp
AS $due$
    SELECT q.run_id, q.due_at, q.journal_bytes FROM public.run_queue q
    WHERE q.owner IS NULL AND q.gate IS NULL AND q.org_id = $1 AND q.team = $2 AND q.priority = $3 AND q.due_at <= $4
    ORDER BY q.due_at, q.run_id LIMIT $5 FOR UPDATE SKIP LOCKED
$due$;
