"""More of what is there: rows that the engine wrote, copied under new run ids by SQL where a run takes too long."""

from __future__ import annotations

import psycopg

# Every table that has rows of a run; of a partitioned one the whole.
TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'run_id' AND a.attnum > 0
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname <> 'run', c.relname
"""
COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
NEW_IDS = {"run_id": "m.new_id", "review_id": "gen_random_uuid()", "idempotency_key": "NULL"}
BATCH = 100_000


def copy_runs(url: str, times: int, *, only: tuple[str, ...] = ()) -> int:
    """Copy every run that is there so often; returns how many rows were written.

    Args:
        url: as a superuser.
        times: copies of each run.
        only: these tables alone; all that have rows of runs where none is given.
    """
    written = 0
    with psycopg.connect(url, autocommit=True) as connection:
        tables = [row[0] for row in connection.execute(TABLES).fetchall() if not only or row[0] in only]
        connection.execute("CREATE TEMP TABLE source AS SELECT run_id FROM run")
        runs = connection.execute("SELECT count(*) FROM source").fetchone()
        assert runs is not None
        at_once = max(1, BATCH // max(1, runs[0]))
        for begun in range(0, times, at_once):
            copies = min(at_once, times - begun)
            connection.execute("DROP TABLE IF EXISTS mapping")
            connection.execute(
                "CREATE TEMP TABLE mapping AS SELECT run_id AS old_id, uuidv7() AS new_id FROM source,"
                f" generate_series(1, {copies})".encode()
            )
            for table in tables:
                columns = [row[0] for row in connection.execute(COLUMNS, (table,)).fetchall()]
                values = ", ".join(NEW_IDS.get(column, f"t.{column}") for column in columns)
                statement = (
                    f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values}"
                    f" FROM {table} t JOIN mapping m ON m.old_id = t.run_id"
                )
                written += connection.execute(statement.encode()).rowcount
            connection.execute("DROP TABLE mapping")
        for table in tables:
            connection.execute(f"ANALYZE {table}".encode())
    return written
