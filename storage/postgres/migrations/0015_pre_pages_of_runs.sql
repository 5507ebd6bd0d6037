-- The newest runs of a flow or a deployment come from an index in their order.
-- depends: 0015_pre_reading_history

-- migrate: apply

CREATE INDEX flow_run_by_flow ON flow_run
    (flow_id, (coalesce(start_time, expected_start_time)) DESC, id DESC);
DROP INDEX flow_run_by_deployment;
CREATE INDEX flow_run_by_deployment ON flow_run
    (deployment_id, (coalesce(start_time, expected_start_time)) DESC, id DESC)
    WHERE deployment_id IS NOT NULL;

-- migrate: rollback
-- There is no way back: restore a backup.
