-- Runs by when they are due, for pages in this order. Runs that have begun have no such time.
-- depends: 0026_pre_state_authors

-- migrate: apply

CREATE INDEX flow_run_by_next_start ON flow_run (next_scheduled_start_time, id)
    WHERE next_scheduled_start_time IS NOT NULL;

-- migrate: rollback
-- There is no way back: restore a backup.
