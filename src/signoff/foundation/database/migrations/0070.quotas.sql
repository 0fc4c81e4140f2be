-- What effects that no person approved have spent, by the quota of their tool and its holder (docs/reference/data-flow.md).
-- depends: 0001.foundation
CREATE TABLE quota_use (
    org_id uuid NOT NULL REFERENCES organisation,
    quota text NOT NULL,
    holder text NOT NULL,
    key text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    spent_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, quota, holder, key)
);
CREATE INDEX quota_use_by_time ON quota_use (org_id, quota, holder, spent_at);
SELECT signoff_protect('quota_use');
REVOKE INSERT, UPDATE, DELETE ON quota_use FROM signoff_app;
REVOKE UPDATE ON quota_use FROM signoff_worker;
