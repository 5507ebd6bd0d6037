-- The run of a flow that is due first, however many runs the flow has had.
-- depends: 0010_pre_recovery

-- migrate: apply

CREATE INDEX flow_run_due_by_flow ON flow_run (flow_id, next_scheduled_start_time, id)
    WHERE state_type = 'SCHEDULED';

-- migrate: rollback
-- There is no way back: restore a backup.
