-- name: select_runs_becoming_late
SELECT id FROM flow_run
WHERE state_type = 'SCHEDULED' AND state_name = 'Scheduled' AND next_scheduled_start_time <= $1
ORDER BY next_scheduled_start_time
LIMIT $2

-- name: select_expired_pauses
SELECT r.id FROM flow_run r JOIN flow_run_state s ON s.id = r.state_id
WHERE r.state_type = 'PAUSED' AND (s.state_details ->> 'pause_timeout')::timestamptz < $1
LIMIT $2

-- name: select_unfinished_task_runs_of_cancelled_runs
SELECT t.id FROM flow_run r JOIN task_run t ON t.flow_run_id = r.id
WHERE r.state_type = 'CANCELLED' AND r.end_time >= $1
    AND t.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
LIMIT $2

-- name: select_unfinished_subflow_runs_of_cancelled_runs
-- Those that a deployment's worker is cancelling are left to it.
SELECT r.id
FROM flow_run r
JOIN task_run t ON t.id = r.parent_task_run_id
JOIN flow_run around ON around.id = t.flow_run_id
WHERE r.parent_task_run_id IS NOT NULL
    AND r.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
    AND (r.deployment_id IS NULL OR r.state_type <> 'CANCELLING')
    AND around.state_type = 'CANCELLED'
LIMIT $1

-- name: select_runs_cancelling_since
SELECT id FROM flow_run
WHERE state_type = 'CANCELLING' AND state_timestamp <= $1
ORDER BY state_timestamp
LIMIT $2
