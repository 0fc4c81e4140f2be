-- A dump that is restored beside its origin, or in its place, and a database that is copied, are on the same cluster and
-- timeline as before: only the database's own id tells them apart. The default is what workers of earlier versions write.
-- depends: 0001.foundation 0017.continuity
CREATE FUNCTION signoff_database_id() RETURNS oid
LANGUAGE sql STABLE
AS $id$ SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database() $id$;

ALTER TABLE server_history ADD COLUMN database oid NOT NULL DEFAULT signoff_database_id();
ALTER TABLE server_history DROP CONSTRAINT server_history_pkey;
ALTER TABLE server_history ADD PRIMARY KEY (system_identifier, timeline, database);
