-- depends: 0001.foundation 0121.model_limits
-- What is kept of each call to the gateway, without content, and what calls cost by day. Days outlive calls.

CREATE TABLE model_call (
    org_id uuid NOT NULL REFERENCES organisation,
    call_id uuid NOT NULL,
    began_at timestamptz NOT NULL,
    project text NOT NULL,
    environment text NOT NULL,
    release text NOT NULL,
    principal text NOT NULL,
    team text NOT NULL,
    key_id text,
    workflow text NOT NULL,
    run_id uuid,
    step text NOT NULL,
    task text NOT NULL,
    prompt text NOT NULL,
    kind text NOT NULL,
    outcome text NOT NULL,
    finish_reason text NOT NULL,
    model text NOT NULL,
    cached boolean NOT NULL,
    model_calls integer NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_micro_usd bigint NOT NULL,
    first_token_s double precision,
    latency_s double precision NOT NULL,
    -- What is read but not searched: who was considered, every try, the vendor's report, signals of detectors.
    details jsonb NOT NULL,
    PRIMARY KEY (org_id, call_id)
);
CREATE INDEX model_call_by_run ON model_call (org_id, run_id, call_id) WHERE run_id IS NOT NULL;
CREATE INDEX model_call_by_age ON model_call (call_id);
SELECT signoff_protect('model_call');
REVOKE INSERT, UPDATE, DELETE ON model_call FROM signoff_app;
REVOKE UPDATE ON model_call FROM signoff_worker;

-- Written with the calls, in the same statement. One row for each model that was tried, beside that which answered.
CREATE TABLE model_cost_day (
    org_id uuid NOT NULL REFERENCES organisation,
    day date NOT NULL,
    project text NOT NULL,
    environment text NOT NULL,
    team text NOT NULL,
    workflow text NOT NULL,
    principal text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    price_version text NOT NULL,
    calls bigint NOT NULL,
    failed_calls bigint NOT NULL,
    cached_calls bigint NOT NULL,
    tries bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_micro_usd bigint NOT NULL,
    -- To compare with: what was estimated before the calls, and what vendors reported after them.
    estimated_input_tokens bigint NOT NULL,
    estimated_cost_micro_usd bigint NOT NULL,
    unreported_calls bigint NOT NULL,
    reported_input_tokens bigint NOT NULL,
    reported_output_tokens bigint NOT NULL,
    PRIMARY KEY (org_id, day, project, environment, team, workflow, principal, model, provider, price_version)
) WITH (fillfactor = 70);
SELECT signoff_protect('model_cost_day');
REVOKE INSERT, UPDATE, DELETE ON model_cost_day FROM signoff_app;
