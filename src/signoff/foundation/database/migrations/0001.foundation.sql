-- depends:
-- Organisations, the two roles that programs act as, and the one way to put a table under row-level security.

CREATE EXTENSION IF NOT EXISTS vector;

-- Roles belong to the whole server: another database on it, or another process at this moment, may have made them.
-- A database administrator may also make them beforehand, and grant them, where the owner may not create roles.
-- Both are without a login: programs sign in with the configured URL and take a role on.
DO $roles$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['signoff_app', 'signoff_worker'] LOOP
        IF to_regrole(role_name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
        IF NOT pg_has_role(current_user, role_name, 'SET') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
        END IF;
    END LOOP;
END
$roles$;

-- PostgreSQL lets only the schema's owner create in `public`; the roles need no more than to look names up in it.
GRANT USAGE ON SCHEMA public TO signoff_app, signoff_worker;

CREATE TABLE organisation (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- An organisation is a row that its own members see; it has no org_id to be compared, its id is one.
ALTER TABLE organisation ENABLE ROW LEVEL SECURITY;
ALTER TABLE organisation FORCE ROW LEVEL SECURITY;
CREATE POLICY app_reads_its_own ON organisation FOR SELECT TO signoff_app
    USING (id = current_setting('signoff.org_id')::uuid);
CREATE POLICY worker_reads_all ON organisation FOR SELECT TO signoff_worker USING (true);
GRANT SELECT ON organisation TO signoff_app, signoff_worker;

-- The migration may run as a table owner that is no superuser: the policies above would stop its own first row.
CREATE POLICY owner_writes ON organisation TO CURRENT_USER USING (true) WITH CHECK (true);

INSERT INTO organisation (id, name) VALUES ('00000000-0000-7000-8000-000000000001', 'default');

-- Puts a table that has `org_id` under forced row-level security: the app role sees the organisation it has set and
-- nothing else (an unset one is an error, so forgetting it can never mean "all"), the worker role sees every row.
CREATE FUNCTION signoff_protect(target regclass) RETURNS void
LANGUAGE plpgsql
AS $protect$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY app_own_organisation ON %s TO signoff_app '
        'USING (org_id = current_setting(''signoff.org_id'')::uuid) '
        'WITH CHECK (org_id = current_setting(''signoff.org_id'')::uuid)', target);
    EXECUTE format('CREATE POLICY worker_all_organisations ON %s TO signoff_worker USING (true) WITH CHECK (true)', target);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO signoff_app, signoff_worker', target);
END
$protect$;

-- Only migrations call it.
REVOKE ALL ON FUNCTION signoff_protect(regclass) FROM PUBLIC;
