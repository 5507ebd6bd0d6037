-- What the jobs look for that change states unasked.
-- depends: 0010_pre_recovery

-- migrate: apply

-- Runs that may become late: those that are late already stay out of it, however many they are.
CREATE INDEX flow_run_may_be_late ON flow_run (next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED' AND state_name = 'Scheduled';
-- Runs cancelled lately, whose task runs are ended.
CREATE INDEX flow_run_cancelled ON flow_run (end_time) WHERE state_type = 'CANCELLED';
-- Subflow runs that are to end with the run around them.
CREATE INDEX flow_run_unfinished_subflow ON flow_run (parent_task_run_id)
    WHERE parent_task_run_id IS NOT NULL
        AND state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING');

-- migrate: rollback
-- There is no way back: restore a backup.
