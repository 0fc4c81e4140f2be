-- depends: 0001.foundation 0011.waits_and_calls
-- The runs that called one another up to a run, itself first (height 0), as far as retention left them. Two rooms ask:
-- the vault of a family of runs is its top's, and a fork copies it. Rows of the caller's organisation only, as ever.
CREATE FUNCTION signoff_callers(org uuid, run uuid) RETURNS TABLE (run_id uuid, height integer)
LANGUAGE sql STABLE
AS $callers$
    WITH RECURSIVE up (run_id, height) AS (
        SELECT run, 0
        UNION ALL
        SELECT c.parent_id, up.height + 1 FROM run_call c JOIN up ON c.child_id = up.run_id
        WHERE c.org_id = org AND up.height < 64
    )
    SELECT up.run_id, up.height FROM up
$callers$;
