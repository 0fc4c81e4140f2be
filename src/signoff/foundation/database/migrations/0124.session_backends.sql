-- What a dead worker's connections hold is let go of by those who find it dead (decision 0002, rule 2).
-- depends: 0001.foundation 0010.runtime

-- A process names its connections after itself: signoff_worker/1f0c…, signoff_app/1f0c….
ALTER TABLE worker_session ADD COLUMN client text NOT NULL
    DEFAULT split_part(current_setting('application_name'), '/', 2);

-- A host that was cut off leaves its transactions open, with their locks, until the server sees that nobody is there:
-- that is a matter of timeouts. This ends the connections of processes without a session that is alive, never those of
-- the caller's own process. Only of the same login as the caller's, as anybody may take on any name. The login must be
-- the one that migrated, or one of its members: a server that says otherwise is told of, and its timeouts remain.
CREATE FUNCTION signoff_end_backends(clients text[], OUT ended integer, OUT refused integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $end$
DECLARE
    own text := split_part(current_setting('application_name'), '/', 2);
    backend integer;
BEGIN
    ended := 0;
    refused := 0;
    clients := array_remove(array_remove(clients, ''), own);
    IF cardinality(clients) = 0 THEN
        RETURN;
    END IF;
    FOR backend IN
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND usename = session_user AND pid <> pg_backend_pid()
            AND application_name LIKE 'signoff\_%/%' AND split_part(application_name, '/', 2) = ANY (clients)
            AND NOT EXISTS (
                SELECT FROM public.worker_session alive
                WHERE alive.client = split_part(application_name, '/', 2) AND alive.expires_at >= now()
            )
    LOOP
        BEGIN
            ended := ended + pg_terminate_backend(backend)::integer;
        EXCEPTION WHEN insufficient_privilege THEN
            refused := refused + 1;
        END;
    END LOOP;
END
$end$;
REVOKE ALL ON FUNCTION signoff_end_backends(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signoff_end_backends(text[]) TO signoff_worker;
