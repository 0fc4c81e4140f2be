-- `signoff doctor` asks as the worker role, which PostgreSQL shows no times of other logins' sessions, its own login's
-- among them: it found no transaction that was open for long, whoever had it.
-- depends: 0001.foundation 0010.runtime

-- What the tables' owner may see of them: those of its own login, which all of Signoff's processes have; everybody's
-- where it was granted pg_monitor.
CREATE FUNCTION signoff_long_transactions(seconds double precision, OUT long integer, OUT longest interval)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $long$
    SELECT count(*)::integer, max(now() - xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND xact_start < now() - make_interval(secs => seconds)
$long$;
REVOKE ALL ON FUNCTION signoff_long_transactions(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signoff_long_transactions(double precision) TO signoff_worker;
