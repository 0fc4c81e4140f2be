"""The SQL of the journal's months."""

from __future__ import annotations

# Runs as the owner, who may make tables; it can make nothing but the coming months.
PREPARE_JOURNAL = "SELECT made AS name FROM signoff_prepare_journal($1) AS made"

# By name: the bounds are told in ids only.
JOURNAL_MONTHS = """
SELECT min(month) AS first, max(month) AS last,
    ((date_part('year', max(month)) - date_part('year', now() AT TIME ZONE 'UTC')) * 12
        + date_part('month', max(month)) - date_part('month', now() AT TIME ZONE 'UTC'))::int AS ahead
FROM (
    SELECT to_date(substr(c.relname, 9), 'YYYY_MM') AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'journal'::regclass AND c.relname ~ '^journal_[0-9]{4}_[0-9]{2}$'
) months
"""
