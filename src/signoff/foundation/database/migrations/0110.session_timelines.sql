-- A worker's session is good for the server's timeline on which it was opened.
-- depends: 0001.foundation 0010.runtime

-- The timeline of what is being written, as after a promotion the control file still has the old one.
ALTER TABLE worker_session ADD COLUMN timeline integer NOT NULL
    DEFAULT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer;
