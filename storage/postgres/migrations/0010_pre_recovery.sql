-- Signs of life of flow runs; what was found dead and what became of it; when a job runs next.
-- depends: 0005_pre_agents

-- migrate: apply

-- When each run was last heard, by the clocks of our own processes. Without a write-ahead log: it is
-- written every second and lost in a crash of the server, which flow_run_watch makes harmless.
CREATE UNLOGGED TABLE flow_run_sign (
    flow_run_id      uuid PRIMARY KEY,
    last_heard       timestamptz NOT NULL,
    -- By the client's clock: heartbeats that waited for a connection arrive together.
    last_beat        timestamptz,
    -- The last two distances between heartbeats.
    gap              interval,
    earlier_gap      interval,
    -- Whether the event stream was asked for heartbeats that are not known here.
    beats_looked_up  boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- One row: since when somebody has listened without a break. Gone after a crash of the server, like
-- the signs, so that both begin anew together.
CREATE UNLOGGED TABLE flow_run_watch (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    since          timestamptz NOT NULL,
    last_listened  timestamptz NOT NULL
);

-- A state in which a run was found dead. `outcome` stays null until Lazarus has dealt with it.
CREATE TABLE flow_run_death (
    state_id     uuid PRIMARY KEY,
    flow_run_id  uuid NOT NULL REFERENCES flow_run (id) ON DELETE CASCADE,
    created      timestamptz NOT NULL,
    settled      timestamptz,
    -- rescheduled, left, moved on
    outcome      text,
    reason       text,
    CHECK ((settled IS NULL) = (outcome IS NULL))
);
CREATE INDEX flow_run_death_unsettled ON flow_run_death (created) WHERE settled IS NULL;
CREATE INDEX flow_run_death_by_run ON flow_run_death (flow_run_id);

-- Lazarus has put the run back, and no process has begun it since: proposals of an earlier process
-- are refused.
ALTER TABLE flow_run ADD COLUMN awaits_new_process boolean NOT NULL DEFAULT false;

-- As the holder said when it last renewed its lease.
ALTER TABLE job_lease ADD COLUMN last_pass timestamptz;
ALTER TABLE job_lease ADD COLUMN next_pass timestamptz;

-- migrate: rollback
-- There is no way back: restore a backup.
