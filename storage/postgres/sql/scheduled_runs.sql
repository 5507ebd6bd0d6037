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
        AND (
            $2::uuid IS NULL OR deployment_schedule_id = $2 OR created_by ->> 'id' = $2::text
        )
        AND (NOT $3::boolean OR next_scheduled_start_time > clock_timestamp())
        AND (NOT $4::boolean OR auto_scheduled)
    RETURNING id
)
SELECT count(*) FROM deleted

-- name: select_schedules_running_low
-- Active schedules, in the order of their ids from $1 on, that have fewer than $3 runs waiting after
-- $2, or none as late as $4 and fewer than $5. $6: only those changed since then, or null. A run
-- that was put off is no longer where its schedule put it.
SELECT s.id, s.updated, s.schedule, d.id AS deployment_id, waiting.runs, waiting.last
FROM deployment_schedule s
JOIN deployment d ON d.id = s.deployment_id
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, max(due) AS last
    FROM (
        SELECT r.next_scheduled_start_time AS due
        FROM flow_run r
        WHERE r.deployment_schedule_id = s.id
            AND r.state_type = 'SCHEDULED'
            AND r.next_scheduled_start_time > $2
            AND r.next_scheduled_start_time = r.expected_start_time
        ORDER BY r.next_scheduled_start_time DESC
        LIMIT $5
    ) AS newest
) AS waiting
WHERE s.active
    AND NOT d.paused
    AND s.id > $1
    AND ($6::timestamptz IS NULL OR greatest(s.updated, d.updated) >= $6)
    AND (waiting.runs < $3 OR (waiting.last < $4 AND waiting.runs < $5))
ORDER BY s.id
LIMIT $7

-- name: select_schedules_of_deployment
SELECT s.id, s.updated, s.schedule, s.deployment_id, 0 AS runs, NULL::timestamptz AS last
FROM deployment_schedule s
WHERE s.deployment_id = $1 AND s.active
ORDER BY s.id

-- name: share_deployments_for_scheduling
-- Who changes one of these or its schedules waits until the runs are committed, and then takes them
-- back. In the order of their ids, so that nobody waits for another in a ring.
SELECT FROM deployment WHERE id = ANY ($1::uuid[]) ORDER BY id FOR SHARE

-- name: insert_scheduled_runs
-- Parallel arrays $1..$7, $8 the time now; $9: asked for by somebody, so of paused deployments too,
-- and not counted among those that the scheduler goes on from: they may lie anywhere in time. A
-- schedule that was changed since it was read gives nothing, nor does a date that has a run.
WITH new AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[], $6::timestamptz[],
        $7::text[]
    ) AS n (id, state_id, name, schedule_id, schedule_updated, due, idempotency_key)
), run AS (
    INSERT INTO flow_run (
        id, created, updated, name, flow_id, deployment_id, deployment_version, work_queue_id,
        work_queue_name, parameters, context, idempotency_key, empirical_policy, tags, labels,
        job_variables, auto_scheduled, infrastructure_document_id, created_by,
        deployment_schedule_id, state_id, state_type, state_name, state_timestamp,
        expected_start_time, next_scheduled_start_time
    )
    SELECT
        new.id, $8, $8, new.name, d.flow_id, d.id, d.version, d.work_queue_id,
        d.work_queue_name, d.parameters || s.parameters, '{}', new.idempotency_key,
        '{}', ARRAY['auto-scheduled'] || d.tags,
        d.labels || jsonb_build_object(
            'prefect.flow.id', d.flow_id::text, 'prefect.deployment.id', d.id::text
        ),
        '{}', true, d.infrastructure_document_id,
        jsonb_build_object(
            'id', s.id, 'type', 'SCHEDULE', 'display_value', coalesce(
                s.slug,
                CASE
                    WHEN s.schedule ? 'cron' THEN 'CronSchedule'
                    WHEN s.schedule ? 'rrule' THEN 'RRuleSchedule'
                    ELSE 'IntervalSchedule'
                END
            )
        ),
        CASE WHEN NOT $9 THEN s.id END, new.state_id, 'SCHEDULED', 'Scheduled', $8, new.due, new.due
    FROM new
    JOIN deployment_schedule s
        ON s.id = new.schedule_id AND s.active AND s.updated = new.schedule_updated
    JOIN deployment d ON d.id = s.deployment_id AND ($9::boolean OR NOT d.paused)
    ON CONFLICT (flow_id, idempotency_key) DO NOTHING
    RETURNING id, state_id, next_scheduled_start_time
), state AS (
    INSERT INTO flow_run_state
        (id, flow_run_id, created, type, name, timestamp, message, state_details, changed_by)
    SELECT
        run.state_id, run.id, $8, 'SCHEDULED', 'Scheduled', $8, 'Flow run scheduled',
        jsonb_build_object(
            'flow_run_id', run.id, 'scheduled_time', run.next_scheduled_start_time
        ),
        CASE WHEN $9 THEN 'client' ELSE 'job:scheduler' END
    FROM run
)
SELECT count(*) FROM run
