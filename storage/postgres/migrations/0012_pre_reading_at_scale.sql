-- Histories and counts of very many flow runs come from indexes alone.
-- depends: 0011_pre_task_workers

-- migrate: apply

-- A history reads these columns of every run of its time, and nothing of the rows themselves.
DROP INDEX flow_run_by_expected_start;
CREATE INDEX flow_run_by_expected_start ON flow_run (expected_start_time DESC, id DESC)
    INCLUDE (state_type, state_name, state_timestamp, start_time, total_run_time);
-- Late runs, and what the web UI asks for: it filters by the names of states.
CREATE INDEX flow_run_by_state_name ON flow_run (state_name, expected_start_time DESC);

-- migrate: rollback
-- There is no way back: restore a backup.
