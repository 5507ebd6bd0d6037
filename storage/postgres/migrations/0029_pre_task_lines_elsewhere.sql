-- Lines of a deleted task run are gone under every flow run, not only its own.
-- depends: 0018_pre_log_retention

-- migrate: apply

-- A row for each flow run under which the task run has lines. Until they are `located`, that may be any.
ALTER TABLE log_task_tombstone ADD COLUMN located timestamptz;
ALTER TABLE log_task_tombstone DROP CONSTRAINT log_task_tombstone_pkey;
CREATE UNIQUE INDEX log_task_tombstone_of_run ON log_task_tombstone
    (task_run_id, coalesce(flow_run_id, '00000000-0000-0000-0000-000000000000'));
CREATE INDEX log_task_tombstone_not_located ON log_task_tombstone (created) WHERE located IS NULL;

-- migrate: rollback
-- There is no way back: restore a backup.
