"""The SQL of records."""

from __future__ import annotations

# A batch of calls and what they add to their days, summed up and in one order, so that two processes do not wait for
# each other. A batch that was written before (its answer got lost) adds nothing: it comes again as it was.
WRITE = """
WITH fresh AS (
    INSERT INTO model_call SELECT r.* FROM jsonb_populate_recordset(NULL::model_call, $1::jsonb) AS r
    ON CONFLICT DO NOTHING RETURNING call_id
)
INSERT INTO model_cost_day AS d
SELECT l.* FROM jsonb_populate_recordset(NULL::model_cost_day, $2::jsonb) AS l WHERE EXISTS (SELECT FROM fresh)
ON CONFLICT (org_id, day, project, environment, team, workflow, principal, model, provider, price_version)
DO UPDATE SET calls = d.calls + excluded.calls, failed_calls = d.failed_calls + excluded.failed_calls,
    cached_calls = d.cached_calls + excluded.cached_calls, tries = d.tries + excluded.tries,
    input_tokens = d.input_tokens + excluded.input_tokens, output_tokens = d.output_tokens + excluded.output_tokens,
    cost_micro_usd = d.cost_micro_usd + excluded.cost_micro_usd,
    estimated_input_tokens = d.estimated_input_tokens + excluded.estimated_input_tokens,
    estimated_cost_micro_usd = d.estimated_cost_micro_usd + excluded.estimated_cost_micro_usd,
    unreported_calls = d.unreported_calls + excluded.unreported_calls,
    reported_input_tokens = d.reported_input_tokens + excluded.reported_input_tokens,
    reported_output_tokens = d.reported_output_tokens + excluded.reported_output_tokens
"""

# Reservations whose lease is over: their processes died between the call and its end. They become records.
LOST = """
DELETE FROM model_reservation WHERE ctid IN (
    SELECT ctid FROM model_reservation WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING org_id, reservation_id, expires_at, about
"""

# Ids begin with the time, so the oldest are the first of an index.
FORGET_CALLS = """
DELETE FROM model_call WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM model_call WHERE call_id < $1 ORDER BY call_id LIMIT $2))
"""
FORGET_DAYS = """
DELETE FROM model_cost_day WHERE ctid IN (
    SELECT ctid FROM model_cost_day WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
"""

# Newest first, by id, which begins with the time.
LIST = """
SELECT * FROM model_call
WHERE org_id = $1 AND ($2::uuid IS NULL OR call_id < $2) AND ($3::uuid IS NULL OR run_id = $3)
    AND ($4 = '' OR team = $4) AND ($5 = '' OR workflow = $5) AND ($6 = '' OR model = $6) AND ($7 = '' OR outcome = $7)
    AND ($8 = '' OR project = $8) AND ($9 = '' OR environment = $9)
ORDER BY call_id DESC LIMIT $10
"""
READ = "SELECT * FROM model_call WHERE org_id = $1 AND call_id = $2"

# The last tries of each model, by the latest calls: bounded, whatever the traffic.
HEALTH = """
SELECT t.try ->> 'model' AS model, count(*) AS tries,
    count(*) FILTER (WHERE t.try ->> 'outcome' = ANY ($5)) AS failed,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY (t.try ->> 'latency_s')::float8)
        FILTER (WHERE t.try ->> 'outcome' = 'ok') AS latency_s,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY (t.try ->> 'first_token_s')::float8)
        FILTER (WHERE t.try ->> 'outcome' = 'ok' AND t.try ->> 'first_token_s' IS NOT NULL) AS first_token_s
FROM (
    SELECT details FROM model_call
    WHERE org_id = $1 AND call_id >= $2 AND environment = $3 AND NOT cached ORDER BY call_id DESC LIMIT $4
) c, jsonb_array_elements(c.details -> 'tried') AS t (try)
GROUP BY 1
"""


COST_BY = (
    "day",
    "month",
    "project",
    "environment",
    "team",
    "workflow",
    "principal",
    "model",
    "provider",
    "price",
    "run",
    "step",
    "task",
    "prompt",
)
"""What costs are summed up by. The last four are of single calls, which are kept less long."""
OF_CALLS = ("run", "step", "task", "prompt")

# By what is summed up is data: its names, in order, choose the values of each row.
COSTS_OF_DAYS = """
SELECT * FROM (
    SELECT b.by, sum(calls)::bigint AS calls, sum(failed_calls)::bigint AS failed_calls,
        sum(cached_calls)::bigint AS cached_calls, sum(tries)::bigint AS tries,
        sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
        sum(cost_micro_usd)::bigint AS cost_micro_usd
    FROM model_cost_day d, LATERAL (SELECT ARRAY(
        SELECT CASE n WHEN 'day' THEN d.day::text WHEN 'month' THEN to_char(d.day, 'YYYY-MM')
            WHEN 'project' THEN d.project WHEN 'environment' THEN d.environment WHEN 'team' THEN d.team
            WHEN 'workflow' THEN d.workflow WHEN 'principal' THEN d.principal WHEN 'model' THEN d.model
            WHEN 'provider' THEN d.provider WHEN 'price' THEN d.price_version END
        FROM unnest($11::text[]) WITH ORDINALITY AS wanted (n, place) ORDER BY place
    ) COLLATE "C" AS by) AS b
    WHERE org_id = $1 AND day BETWEEN $2 AND $3 AND ($4 = '' OR project = $4) AND ($5 = '' OR environment = $5)
        AND ($6 = '' OR team = $6) AND ($7 = '' OR workflow = $7) AND ($8 = '' OR model = $8)
    GROUP BY 1
) sums WHERE $9::text[] IS NULL OR by > $9::text[] COLLATE "C" ORDER BY by LIMIT $10
"""

# Of single calls: only they know runs and steps. Their ids begin with the time, so days are a range of the key.
COSTS_OF_CALLS = """
SELECT * FROM (
    SELECT b.by, count(*) AS calls, count(*) FILTER (WHERE outcome NOT IN ('ok', 'incomplete')) AS failed_calls,
        count(*) FILTER (WHERE cached) AS cached_calls, sum(model_calls)::bigint AS tries,
        sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
        sum(cost_micro_usd)::bigint AS cost_micro_usd
    FROM model_call d, LATERAL (SELECT ARRAY(
        SELECT CASE n WHEN 'day' THEN (d.began_at AT TIME ZONE 'UTC')::date::text
            WHEN 'month' THEN to_char(d.began_at AT TIME ZONE 'UTC', 'YYYY-MM')
            WHEN 'project' THEN d.project WHEN 'environment' THEN d.environment WHEN 'team' THEN d.team
            WHEN 'workflow' THEN d.workflow WHEN 'principal' THEN d.principal WHEN 'model' THEN d.model
            WHEN 'run' THEN coalesce(d.run_id::text, '') WHEN 'step' THEN d.step WHEN 'task' THEN d.task
            WHEN 'prompt' THEN d.prompt ELSE '' END
        FROM unnest($11::text[]) WITH ORDINALITY AS wanted (n, place) ORDER BY place
    ) COLLATE "C" AS by) AS b
    WHERE org_id = $1 AND call_id >= signoff_first_run_id($2::date::timestamp AT TIME ZONE 'UTC')
        AND call_id < signoff_first_run_id(($3::date + 1)::timestamp AT TIME ZONE 'UTC')
        AND ($4 = '' OR project = $4) AND ($5 = '' OR environment = $5) AND ($6 = '' OR team = $6)
        AND ($7 = '' OR workflow = $7) AND ($8 = '' OR model = $8)
    GROUP BY 1
) sums WHERE $9::text[] IS NULL OR by > $9::text[] COLLATE "C" ORDER BY by LIMIT $10
"""

# Estimates, reports and counts by day and model.
DIFFERENCES = """
SELECT * FROM (
    SELECT concat_ws(' ', day::text, model, provider, price_version) COLLATE "C" AS place, day, model, provider,
        price_version, sum(tries)::bigint AS tries, sum(unreported_calls)::bigint AS unreported_calls,
        sum(estimated_input_tokens)::bigint AS estimated_input_tokens,
        sum(reported_input_tokens)::bigint AS reported_input_tokens, sum(input_tokens)::bigint AS input_tokens,
        sum(reported_output_tokens)::bigint AS reported_output_tokens, sum(output_tokens)::bigint AS output_tokens,
        sum(estimated_cost_micro_usd)::bigint AS estimated_cost_micro_usd, sum(cost_micro_usd)::bigint AS cost_micro_usd
    FROM model_cost_day
    WHERE org_id = $1 AND day BETWEEN $2 AND $3 AND ($4 = '' OR project = $4) AND ($5 = '' OR environment = $5)
        AND ($6 = '' OR team = $6) AND ($7 = '' OR workflow = $7) AND ($8 = '' OR model = $8)
    GROUP BY day, model, provider, price_version HAVING sum(tries) > 0
) sums WHERE $9::text IS NULL OR place > $9::text COLLATE "C" ORDER BY place LIMIT $10
"""
