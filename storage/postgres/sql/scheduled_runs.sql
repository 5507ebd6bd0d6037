-- name: lock_deployment_against_scheduling
-- The scheduler takes a share of this lock, so what it has begun to insert is committed by now and
-- seen by the statement after this one.
SELECT FROM deployment WHERE id = $1 FOR NO KEY UPDATE

-- name: delete_waiting_runs
-- $2: of this schedule only; $3: only those that are not due yet; $4: only what schedules made.
-- A run that waits for a slot of its deployment's limit has been picked up before. States go with
-- their runs; there are no logs of a run that never started.
WITH deleted AS (
    DELETE FROM flow_run
    WHERE deployment_id = $1
        AND state_type = 'SCHEDULED'
        AND state_name <> 'AwaitingConcurrencySlot'
        AND run_count = 0
        AND ($2::uuid IS NULL OR deployment_schedule_id = $2)
        AND (NOT $3::boolean OR next_scheduled_start_time > clock_timestamp())
        AND (NOT $4::boolean OR auto_scheduled)
    RETURNING id
)
SELECT count(*) FROM deleted
