"""What the diagnosis reads of PostgreSQL. All of it reads only, as the worker role."""

from signoff.runtime.store import SERVER as _RUNNING

# One row: settings as the server runs them, of this session, which has those of every session of Signoff. Connections
# are counted by database: of other logins' sessions PostgreSQL tells a worker nothing, not even that they are clients.
SERVER = """
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
    current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('synchronous_standby_names') AS synchronous_standby_names,
    (SELECT count(*) FROM pg_stat_replication) AS standbys,
    (SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout') AS idle_timeout_ms,
    current_setting('max_connections')::int AS max_connections,
    (SELECT sum(numbackends) FROM pg_stat_database)::int AS connections,
    clock_timestamp() AS now, pg_database_size(current_database()) AS size_bytes
"""

# A worker's row whose lease is long over was left by nobody who could remove it: no worker is alive to do it either.
SESSIONS = """
SELECT count(*) FILTER (WHERE expires_at >= now())::int AS alive,
    count(*) FILTER (WHERE expires_at < now() - interval '1 minute')::int AS dead,
    max(host) FILTER (WHERE expires_at < now() - interval '1 minute') AS host
FROM worker_session
"""

STUCK = """
SELECT count(*)::int AS stuck, min(run_id::text) AS run_id FROM run_view WHERE status = 'stuck'
"""

# Free and long due: every worker would have taken it within a second. Runs behind the gate of a queue are not due.
OVERDUE = """
SELECT count(*)::int AS overdue, min(due_at) AS since FROM (
    SELECT due_at FROM run_queue WHERE owner IS NULL AND gate IS NULL AND due_at < now() - interval '1 minute'
    ORDER BY due_at LIMIT 1000
) late
"""

# Old snapshots keep dead rows from being removed, which slows claims down. `$1`: seconds.
LONG_TRANSACTIONS = "SELECT long, longest FROM signoff_long_transactions($1)"

# Finished runs that should have left, and cannot.
RETENTION = """
SELECT count(*)::int AS failing, min(project) AS project, min(problem) AS problem, min(retry_at) AS retry_at
FROM retention_batch WHERE status <> 'dropped' AND failures > 0
"""

# `unmet`: workers knew another server, and none has met this one, which a restore or a failover has put in its place.
BREAKS = f"""
WITH server AS MATERIALIZED ({_RUNNING})
SELECT count(*) FILTER (WHERE broke)::int AS breaks, max(seen_at) FILTER (WHERE broke) AS latest,
    count(h.timeline) > 0 AND NOT COALESCE(bool_or(h.system_identifier = s.system_identifier AND h.timeline = s.timeline
        AND h.database = signoff_database_id()), false) AS unmet
FROM server s LEFT JOIN server_history h ON true
"""  # noqa: S608  (constants only)

# Vaults of runs as they lie on the disk; keys are told by their ids.
VAULTS = """
SELECT count(*)::int AS vaults, count(*) FILTER (WHERE key_id = '')::int AS plain,
    string_agg(DISTINCT key_id, ', ') FILTER (WHERE key_id <> '') AS keys
FROM run_vault
"""
