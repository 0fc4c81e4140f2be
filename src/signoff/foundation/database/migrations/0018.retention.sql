-- Retention leaves what was taken of events with the events.
-- depends: 0001.foundation 0014.storage

-- A loop without an end goes on in new runs, and each of them is given only events that none of the runs before was. So
-- what an old run took outlives it: it leaves with the event (ON DELETE CASCADE), when that expires.
-- All that there is of a batch's runs, in the caller's transaction: both or neither. A run that is not finished, or was
-- taken up again since, stays. A run with an idempotency key keeps its row in `run`: the key means it for ever.
CREATE OR REPLACE FUNCTION signoff_retire_batch(wanted_org uuid, wanted_batch uuid, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $retire$
DECLARE
    batch public.retention_batch;
    leaving uuid[];
    unused text[];
    target text;
BEGIN
    SELECT * INTO batch FROM public.retention_batch
    WHERE org_id = wanted_org AND batch_id = wanted_batch AND status <> 'dropped' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    IF batch.archive IS NOT NULL AND batch.status <> 'archived' THEN
        RAISE EXCEPTION 'batch % is not archived yet', wanted_batch;
    END IF;
    SELECT coalesce(array_agg(run_id), '{}') INTO leaving FROM (
        SELECT v.run_id FROM public.run_view v
        WHERE v.org_id = wanted_org AND v.run_id = ANY (batch.run_ids)
            AND v.status IN ('done', 'failed', 'cancelled', 'terminated') AND v.ended_at < batch.ended_before
            AND NOT EXISTS (SELECT FROM public.run_queue q WHERE q.run_id = v.run_id)
        ORDER BY v.run_id FOR UPDATE OF v
    ) finished;
    DELETE FROM public.approval_use u USING public.review r
    WHERE r.org_id = wanted_org AND r.run_id = ANY (leaving) AND u.review_id = r.review_id;
    SELECT coalesce(array_agg(DISTINCT digest), '{}') INTO unused FROM public.artifact_use
    WHERE org_id = wanted_org AND run_id = ANY (leaving);
    -- Planned anew each time, so that only the months are looked at which these runs are in.
    FOREACH target IN ARRAY ARRAY['review', 'emitted_event', 'inbox', 'artifact_use', 'run_attribute', 'run_word',
        'event_wait', 'journal', 'run_view'] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE org_id = $1 AND run_id = ANY ($2)', target)
        USING wanted_org, leaving;
    END LOOP;
    DELETE FROM public.run_call WHERE org_id = wanted_org AND parent_id = ANY (leaving);
    DELETE FROM public.run WHERE org_id = wanted_org AND run_id = ANY (leaving) AND idempotency_key IS NULL;
    -- Locked first and asked then: a run that began to use one meanwhile has it locked until its use can be seen.
    PERFORM FROM public.artifact WHERE org_id = wanted_org AND digest = ANY (unused) ORDER BY digest FOR UPDATE;
    DELETE FROM public.artifact a WHERE a.org_id = wanted_org AND a.digest = ANY (unused)
        AND NOT EXISTS (SELECT FROM public.artifact_use u WHERE u.org_id = a.org_id AND u.digest = a.digest);
    UPDATE public.retention_batch
    SET status = 'dropped', dropped_at = moment, dropped_runs = cardinality(leaving)
    WHERE org_id = wanted_org AND batch_id = wanted_batch;
    RETURN cardinality(leaving);
END
$retire$;

