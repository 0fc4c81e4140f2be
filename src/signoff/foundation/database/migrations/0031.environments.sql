-- Environments say which way they moved and why; releases are published with a message, and deleted where unused.
-- depends: 0001.foundation 0010.runtime 0012.operations 0013.starts 0030.catalog 0050.retrieval 0060.reviews

ALTER TABLE environment_change
    ADD COLUMN operation text NOT NULL DEFAULT 'deploy' CHECK (operation IN ('deploy', 'rollback')),
    ADD COLUMN reason text NOT NULL DEFAULT '' CHECK (char_length(reason) <= 2000),
    -- Who moved what where is kept for ever, also of releases that were deleted since.
    DROP CONSTRAINT environment_change_org_id_release_fkey;

-- A snapshot that somebody stands behind: its prompt versions are taken. What `signoff dev` keeps is none.
CREATE TABLE release_publication (
    org_id uuid NOT NULL REFERENCES organisation,
    release text NOT NULL,
    project text NOT NULL,
    message text NOT NULL CHECK (char_length(message) <= 2000),
    published_at timestamptz NOT NULL,
    published_by jsonb NOT NULL,
    PRIMARY KEY (org_id, release),
    FOREIGN KEY (org_id, release) REFERENCES release (org_id, digest) ON DELETE CASCADE
);
SELECT signoff_protect('release_publication');
REVOKE UPDATE, DELETE ON release_publication FROM signoff_app, signoff_worker;

-- What a run that goes on, or a start that is on its way, needs is never deleted. Neither role has the right to delete a
-- release; this function is the only way, and it asks what the database itself knows. FORCE holds the owner to policies.
DO $policies$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['release', 'release_file', 'release_content', 'release_publication', 'environment',
        'environment_change', 'start_debounced', 'retrieval_release'] LOOP
        EXECUTE format('CREATE POLICY owner_deletes_releases ON %I TO CURRENT_USER USING (true)', target);
    END LOOP;
END
$policies$;

-- Gives why a release is in use, or nothing. A start reads an environment and writes its run a moment later, so a release
-- that an environment left within the last minutes counts as in use.
CREATE FUNCTION signoff_release_use(wanted_org uuid, wanted text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $use$
DECLARE
    used_by text;
BEGIN
    -- It runs as its owner, who sees all organisations: nobody asks about, or deletes in, another one's.
    IF current_setting('signoff.org_id')::uuid IS DISTINCT FROM wanted_org THEN
        RAISE EXCEPTION 'another organisation' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT 'environment ' || name INTO used_by FROM public.environment
    WHERE org_id = wanted_org AND release = wanted ORDER BY name LIMIT 1;
    IF used_by IS NOT NULL THEN RETURN used_by; END IF;
    SELECT 'environment ' || later.name || ', which left it a moment ago' INTO used_by
    FROM public.environment_change AS later
    JOIN public.environment_change AS earlier USING (org_id, project, name)
    WHERE earlier.version = later.version - 1 AND later.org_id = wanted_org AND earlier.release = wanted
        AND later.changed_at > now() - interval '5 minutes'
    LIMIT 1;
    IF used_by IS NOT NULL THEN RETURN used_by; END IF;
    SELECT 'run ' || v.run_id INTO used_by
    FROM public.run_view AS v JOIN public.run AS r USING (run_id)
    WHERE v.org_id = wanted_org AND v.status NOT IN ('done', 'failed', 'cancelled', 'terminated')
        AND wanted IN (r.release, v.release)
    LIMIT 1;
    IF used_by IS NOT NULL THEN RETURN used_by; END IF;
    SELECT 'a debounced start of ' || workflow INTO used_by FROM public.start_debounced
    WHERE org_id = wanted_org AND position(convert_to(wanted, 'UTF8') IN request) > 0 LIMIT 1;
    RETURN used_by;
END
$use$;

-- Gives why it was not deleted, or nothing where it was. Contents that no other release has go along.
CREATE FUNCTION signoff_delete_release(wanted_org uuid, wanted text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $delete$
DECLARE
    used_by text;
    contents text[];
BEGIN
    IF current_setting('signoff.org_id')::uuid IS DISTINCT FROM wanted_org THEN
        RAISE EXCEPTION 'another organisation' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- A registration shares contents that it found; none is taken from under it.
    PERFORM pg_advisory_xact_lock(hashtextextended('signoff.release.' || wanted_org, 0));
    -- Whoever points an environment at it now holds the row by its foreign key: it waits for them, or they for it.
    PERFORM FROM public.release WHERE org_id = wanted_org AND digest = wanted FOR UPDATE;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    used_by := public.signoff_release_use(wanted_org, wanted);
    IF used_by IS NOT NULL THEN RETURN used_by; END IF;
    DELETE FROM public.retrieval_release WHERE org_id = wanted_org AND release = wanted;
    DELETE FROM public.release_publication WHERE org_id = wanted_org AND release = wanted;
    WITH gone AS (
        DELETE FROM public.release_file WHERE org_id = wanted_org AND release = wanted RETURNING content_digest
    ) SELECT coalesce(array_agg(DISTINCT content_digest), '{}') INTO contents FROM gone;
    DELETE FROM public.release WHERE org_id = wanted_org AND digest = wanted;
    PERFORM FROM public.release_content WHERE org_id = wanted_org AND digest = ANY (contents) ORDER BY digest FOR UPDATE;
    DELETE FROM public.release_content AS c WHERE c.org_id = wanted_org AND c.digest = ANY (contents)
        AND NOT EXISTS (SELECT FROM public.release_file AS f WHERE f.org_id = c.org_id AND f.content_digest = c.digest);
    RETURN NULL;
END
$delete$;

REVOKE ALL ON FUNCTION signoff_release_use(uuid, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION signoff_delete_release(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signoff_release_use(uuid, text) TO signoff_app;
GRANT EXECUTE ON FUNCTION signoff_delete_release(uuid, text) TO signoff_app;
