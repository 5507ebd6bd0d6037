-- The log lines of a deleted task run are gone for every reader at once.
-- depends: 0011_pre_task_workers

-- migrate: apply

-- Task runs whose lines no reader may show although batches or segments still hold them.
CREATE TABLE log_task_tombstone (
    task_run_id  uuid PRIMARY KEY,
    -- None for a task run outside any flow run.
    flow_run_id  uuid,
    created      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX log_task_tombstone_by_flow_run ON log_task_tombstone (flow_run_id);

-- migrate: rollback
-- There is no way back: restore a backup.
