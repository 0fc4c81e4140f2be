-- API keys: who a request comes from. Only a hash of each secret is stored.
-- depends: 0001.foundation

CREATE TABLE api_key (
    org_id       uuid        NOT NULL REFERENCES organisation,
    key_id       text        NOT NULL CHECK (key_id ~ '^[0-9a-f]{16}$'),
    -- SHA-256 of 32 random bytes. A slow hash protects what people can guess; nobody guesses 256 random bits.
    secret_hash  bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
    actor_kind   text        NOT NULL CHECK (actor_kind IN ('user', 'key')),
    actor_id     text        NOT NULL CHECK (actor_id ~ '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$'),
    roles        text[]      NOT NULL CHECK (cardinality(roles) <= 32 AND array_position(roles, NULL) IS NULL),
    created_at   timestamptz NOT NULL,
    created_by   text        NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    revoked_by   text,
    last_used_at timestamptz,
    PRIMARY KEY (org_id, key_id),
    -- A presented key names no organisation, so its id is unique over all of them.
    CONSTRAINT api_key_one_per_id UNIQUE (key_id),
    CONSTRAINT api_key_expires_after_creation CHECK (expires_at > created_at),
    CONSTRAINT api_key_revoked_by_somebody CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

SELECT signoff_protect('api_key');

-- A key never changes but for its revocation, and stays as a record of who could act.
REVOKE UPDATE, DELETE ON api_key FROM signoff_app, signoff_worker;
GRANT UPDATE (revoked_at, revoked_by) ON api_key TO signoff_app, signoff_worker;

-- Sign-in happens before the organisation is known. Instead of a role that sees all keys, the app gets two functions
-- that touch exactly the row whose id it was shown. They run as the tables' owner, whom FORCE holds to policies too.
CREATE POLICY owner_finds ON api_key FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY owner_notes_use ON api_key FOR UPDATE TO CURRENT_USER USING (true) WITH CHECK (true);

CREATE FUNCTION signoff_find_api_key(shown text) RETURNS SETOF api_key
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, public, pg_temp
AS 'SELECT * FROM public.api_key WHERE key_id = shown';

-- At most one write per key and hour, so that a busy key does not make a hot row.
CREATE FUNCTION signoff_note_api_key_use(shown text, used_at timestamptz) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $note$
    UPDATE public.api_key SET last_used_at = used_at
    WHERE key_id = shown AND (last_used_at IS NULL OR last_used_at < used_at - interval '1 hour')
$note$;

REVOKE ALL ON FUNCTION signoff_find_api_key(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION signoff_note_api_key_use(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signoff_find_api_key(text) TO signoff_app, signoff_worker;
GRANT EXECUTE ON FUNCTION signoff_note_api_key_use(text, timestamptz) TO signoff_app, signoff_worker;
