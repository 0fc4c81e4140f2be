-- depends: 0001.foundation 0010.runtime
-- Circuit breakers: one row per organisation and target (a tool, or the models of a step) that has failed lately.
-- All workers share them. What works well is never written here, so the table is small and the hot path asks nothing.

CREATE TABLE breaker (
    org_id uuid NOT NULL REFERENCES organisation,
    target text COLLATE "C" NOT NULL CHECK (char_length(target) BETWEEN 1 AND 300),
    state text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
    -- When the latest failures and slow calls were, as far as they are in the rolling window; never more than count.
    failed_at timestamptz[] NOT NULL DEFAULT '{}',
    slow_at timestamptz[] NOT NULL DEFAULT '{}',
    -- How often in a row it was opened: each time for twice as long.
    trips integer NOT NULL DEFAULT 0 CHECK (trips >= 0),
    -- Of an open one: when a probe may be made. Of a half-open one: when the probe under way counts as lost.
    retry_at timestamptz,
    probe uuid,
    reason text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, target),
    CHECK ((state = 'closed') = (retry_at IS NULL)),
    CHECK ((state = 'half_open') = (probe IS NOT NULL))
);
-- What every worker reads every second: the few that are not closed.
CREATE INDEX breaker_not_closed ON breaker (org_id, target) WHERE state <> 'closed';
SELECT signoff_protect('breaker');
