-- Which servers have held this database, by cluster and timeline: a failover or a restore begins a new timeline, and what
-- was committed last on the old one may be missing here. Workers write a row when they meet a server they do not know.
-- depends: 0001.foundation 0010.runtime
CREATE TABLE server_history (
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    broke boolean NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (system_identifier, timeline)
);
GRANT SELECT, INSERT ON server_history TO signoff_worker;
GRANT SELECT ON server_history TO signoff_app;
