-- Which due runs were handed out to pollers lately.
-- depends: 0010_pre_recovery

-- migrate: apply

-- Without a write-ahead log: it is written with every poll that finds runs, and when it is lost in a
-- crash of the server some runs are shown to two workers, of which one gets them. Room in the pages
-- keeps a renewed row beside its former self, without touching the index.
CREATE UNLOGGED TABLE flow_run_offer (
    flow_run_id    uuid PRIMARY KEY,
    -- The start that the run waited for then: a run that is scheduled again is handed out anew.
    scheduled      timestamptz NOT NULL,
    first_offered  timestamptz NOT NULL,
    last_offered   timestamptz NOT NULL
) WITH (fillfactor = 60);

-- migrate: rollback
-- There is no way back: restore a backup.
