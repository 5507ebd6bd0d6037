-- name: begin_import
INSERT INTO import_progress (source, after_updated, after_id, rows)
VALUES ($1, '-infinity', '00000000-0000-0000-0000-000000000000', 0)
ON CONFLICT DO NOTHING

-- name: read_import
SELECT after_updated, after_id, rows FROM import_progress WHERE source = $1

-- name: move_import
-- Only from where it was when the lines were read: another import may have taken them meanwhile.
UPDATE import_progress
SET after_updated = $4, after_id = $5, rows = rows + $6, moved = now()
WHERE source = $1 AND after_updated = $2 AND after_id = $3

-- name: count_imported
INSERT INTO import_run AS run (source, flow_run_id, rows)
SELECT $1, part.flow_run_id, part.rows FROM unnest($2::uuid[], $3::bigint[]) AS part (flow_run_id, rows)
ON CONFLICT (source, flow_run_id) DO UPDATE SET rows = run.rows + excluded.rows

-- name: next_batch_id
-- Lines that were never hot take their identity from the same sequence as those that were.
SELECT nextval('log_batch_id_seq')

-- name: imported_runs
-- The runs of an import after `$2`, with the lines that were taken and those that are held now. Of a run
-- that was deleted, or of which lines expired or task runs were deleted, as many are held as may be.
SELECT taken.flow_run_id, taken.rows AS taken,
    CASE WHEN EXISTS (SELECT FROM log_tombstone AS dead WHERE dead.flow_run_id = taken.flow_run_id)
        OR EXISTS (SELECT FROM log_expiry AS gone WHERE gone.flow_run_id = taken.flow_run_id)
        OR EXISTS (
            SELECT FROM log_task_tombstone AS dead
            WHERE coalesce(dead.flow_run_id, '00000000-0000-0000-0000-000000000000')
                = taken.flow_run_id
        )
        THEN taken.rows ELSE coalesce(held.rows, 0)
    END::bigint AS held
FROM (
    SELECT flow_run_id, rows FROM import_run
    WHERE source = $1 AND ($2::uuid IS NULL OR flow_run_id > $2)
    ORDER BY flow_run_id LIMIT $3
) AS taken
LEFT JOIN LATERAL (
    SELECT sum(part.rows) AS rows
    FROM log_segment_run AS part
    JOIN log_segment AS segment ON segment.id = part.segment_id AND segment.state = 'published'
    WHERE part.flow_run_id = taken.flow_run_id
) AS held ON true
ORDER BY taken.flow_run_id

-- name: import_flows
-- Each of these takes a page of rows as JSON, `$1`; those whose rows refer to what has a name also the ids
-- that something of that name has here already: `$3` in place of `$2`. Those with names give such ids.
WITH given AS (
    SELECT * FROM jsonb_populate_recordset(NULL::flow, $1)
), made AS (
    INSERT INTO flow (id, created, updated, name, tags, labels)
    SELECT id, created, updated, name, tags, labels FROM given
    ON CONFLICT DO NOTHING
)
SELECT given.id AS theirs, flow.id AS ours
FROM given JOIN flow ON flow.name = given.name AND flow.id <> given.id

-- name: import_work_pools
WITH given AS (
    SELECT * FROM jsonb_populate_recordset(NULL::work_pool, $1)
), made AS (
    INSERT INTO work_pool (
        id, created, updated, name, description, type, base_job_template, is_paused,
        concurrency_limit, default_queue_id, storage_configuration, status
    )
    SELECT id, created, updated, name, description, type, base_job_template, is_paused,
        concurrency_limit, default_queue_id, storage_configuration, 'NOT_READY'
    FROM given
    ON CONFLICT DO NOTHING
)
SELECT given.id AS theirs, pool.id AS ours
FROM given JOIN work_pool AS pool ON pool.name = given.name AND pool.id <> given.id

-- name: import_work_queues
WITH given AS (
    SELECT queue.*, coalesce(moved.ours, queue.work_pool_id) AS pool_id
    FROM jsonb_populate_recordset(NULL::work_queue, $1) AS queue
    LEFT JOIN unnest($2::uuid[], $3::uuid[]) AS moved (theirs, ours) ON moved.theirs = queue.work_pool_id
), made AS (
    INSERT INTO work_queue (
        id, created, updated, name, description, is_paused, concurrency_limit, priority,
        work_pool_id, filter, last_polled, status
    )
    SELECT id, created, updated, name, description, is_paused, concurrency_limit,
        greatest(priority, 1), pool_id, filter, last_polled, 'NOT_READY'
    FROM given
    ON CONFLICT DO NOTHING
)
SELECT given.id AS theirs, queue.id AS ours
FROM given
JOIN work_queue AS queue
    ON queue.work_pool_id = given.pool_id AND queue.name = given.name AND queue.id <> given.id

-- name: import_deployments
-- Paused: the other server may still make runs of them.
WITH given AS (
    SELECT deployment.*, coalesce(of_flow.ours, deployment.flow_id) AS our_flow_id,
        coalesce(of_queue.ours, deployment.work_queue_id) AS our_queue_id
    FROM jsonb_populate_recordset(NULL::deployment, $1) AS deployment
    LEFT JOIN unnest($2::uuid[], $3::uuid[]) AS of_flow (theirs, ours) ON of_flow.theirs = flow_id
    LEFT JOIN unnest($2::uuid[], $3::uuid[]) AS of_queue (theirs, ours)
        ON of_queue.theirs = work_queue_id
), made AS (
    INSERT INTO deployment (
        id, created, updated, name, flow_id, version, description, paused, concurrency_options,
        job_variables, parameters, parameter_openapi_schema, enforce_parameter_schema, tags, labels,
        work_queue_id, work_queue_name, last_polled, path, entrypoint, pull_steps, created_by,
        updated_by, status
    )
    SELECT id, created, updated, name, our_flow_id, version, description, true, concurrency_options,
        job_variables, parameters, parameter_openapi_schema, enforce_parameter_schema, tags, labels,
        (SELECT queue.id FROM work_queue AS queue WHERE queue.id = our_queue_id), work_queue_name,
        last_polled, path, entrypoint, pull_steps, created_by, updated_by, 'NOT_READY'
    FROM given
    ON CONFLICT DO NOTHING
)
SELECT given.id AS theirs, deployment.id AS ours
FROM given
JOIN deployment
    ON deployment.flow_id = given.our_flow_id AND deployment.name = given.name
        AND deployment.id <> given.id

-- name: import_deployment_schedules
-- Not active, for the same reason; none for a deployment that was here already.
INSERT INTO deployment_schedule (
    id, created, updated, deployment_id, schedule, active, max_scheduled_runs, parameters, slug
)
SELECT id, created, updated, deployment_id, schedule, false, max_scheduled_runs, parameters, slug
FROM jsonb_populate_recordset(NULL::deployment_schedule, $1) AS given
WHERE EXISTS (SELECT FROM deployment WHERE deployment.id = given.deployment_id)
ON CONFLICT DO NOTHING

-- name: import_flow_runs
-- Newer ones replace what was imported before, for a run may have been retried since. Those that were
-- deleted here stay so.
WITH given AS (
    SELECT run.*, coalesce(of_flow.ours, run.flow_id) AS our_flow_id,
        coalesce(of_queue.ours, run.work_queue_id) AS our_queue_id,
        coalesce(of_deployment.ours, run.deployment_id) AS our_deployment_id
    FROM jsonb_populate_recordset(NULL::flow_run, $1) AS run
    LEFT JOIN unnest($2::uuid[], $3::uuid[]) AS of_flow (theirs, ours) ON of_flow.theirs = flow_id
    LEFT JOIN unnest($2::uuid[], $3::uuid[]) AS of_queue (theirs, ours)
        ON of_queue.theirs = work_queue_id
    LEFT JOIN unnest($2::uuid[], $3::uuid[]) AS of_deployment (theirs, ours)
        ON of_deployment.theirs = deployment_id
    WHERE NOT EXISTS (SELECT FROM log_tombstone AS dead WHERE dead.flow_run_id = run.id)
)
INSERT INTO flow_run AS run (
    id, created, updated, name, flow_id, flow_version, deployment_id, deployment_version,
    work_queue_id, work_queue_name, parameters, context, idempotency_key, empirical_policy, tags,
    labels, job_variables, parent_task_run_id, auto_scheduled, infrastructure_pid, created_by,
    state_id, state_type, state_name, state_timestamp, run_count, expected_start_time,
    next_scheduled_start_time, start_time, end_time, total_run_time
)
SELECT id, created, updated, name, our_flow_id, flow_version, our_deployment_id,
    deployment_version, our_queue_id, work_queue_name, parameters, context,
    CASE WHEN NOT EXISTS (
        SELECT FROM flow_run AS other
        WHERE other.flow_id = our_flow_id AND other.idempotency_key = given.idempotency_key
            AND other.id <> given.id
    ) THEN idempotency_key END,
    empirical_policy, tags, labels, job_variables, parent_task_run_id, auto_scheduled,
    infrastructure_pid, created_by, state_id, state_type, state_name, state_timestamp, run_count,
    expected_start_time, next_scheduled_start_time, start_time, end_time, total_run_time
FROM given
ON CONFLICT (id) DO UPDATE SET
    updated = excluded.updated, name = excluded.name, tags = excluded.tags,
    labels = excluded.labels, empirical_policy = excluded.empirical_policy,
    state_id = excluded.state_id, state_type = excluded.state_type,
    state_name = excluded.state_name, state_timestamp = excluded.state_timestamp,
    run_count = excluded.run_count, start_time = excluded.start_time,
    end_time = excluded.end_time, total_run_time = excluded.total_run_time
WHERE excluded.updated > run.updated

-- name: import_flow_run_states
INSERT INTO flow_run_state (
    id, flow_run_id, created, type, name, timestamp, message, data, state_details
)
SELECT id, flow_run_id, created, type, name, timestamp, message, data, state_details
FROM jsonb_populate_recordset(NULL::flow_run_state, $1) AS given
WHERE EXISTS (SELECT FROM flow_run AS run WHERE run.id = given.flow_run_id)
ON CONFLICT DO NOTHING

-- name: import_task_runs
-- Newer ones replace what was imported before, as flow runs do.
WITH given AS (
    SELECT * FROM jsonb_populate_recordset(NULL::task_run, $1) AS given
    WHERE (
            flow_run_id IS NULL
            OR EXISTS (SELECT FROM flow_run AS run WHERE run.id = given.flow_run_id)
        )
        AND NOT EXISTS (SELECT FROM log_task_tombstone AS dead WHERE dead.task_run_id = given.id)
), made AS (
    INSERT INTO task_run (
        id, created, updated, name, flow_run_id, task_key, dynamic_key, cache_key,
        cache_expiration, task_version, flow_run_run_count, empirical_policy, task_inputs, tags,
        labels, state_id, state_type, state_name, state_timestamp, run_count, expected_start_time,
        next_scheduled_start_time, start_time, end_time, total_run_time
    )
    SELECT id, created, updated, name, flow_run_id, task_key, dynamic_key, cache_key,
        cache_expiration, task_version, flow_run_run_count, empirical_policy, task_inputs, tags,
        labels, state_id, state_type, state_name, state_timestamp, run_count, expected_start_time,
        next_scheduled_start_time, start_time, end_time, total_run_time
    FROM given
    ON CONFLICT DO NOTHING
)
UPDATE task_run AS run
SET updated = given.updated, name = given.name, tags = given.tags, labels = given.labels,
    state_id = given.state_id, state_type = given.state_type, state_name = given.state_name,
    state_timestamp = given.state_timestamp, run_count = given.run_count,
    flow_run_run_count = given.flow_run_run_count, start_time = given.start_time,
    end_time = given.end_time, total_run_time = given.total_run_time
FROM given
WHERE run.id = given.id AND given.updated > run.updated

-- name: import_task_run_states
INSERT INTO task_run_state (
    id, task_run_id, created, type, name, timestamp, message, data, state_details
)
SELECT id, task_run_id, created, type, name, timestamp, message, data, state_details
FROM jsonb_populate_recordset(NULL::task_run_state, $1) AS given
WHERE EXISTS (SELECT FROM task_run AS run WHERE run.id = given.task_run_id)
ON CONFLICT DO NOTHING
