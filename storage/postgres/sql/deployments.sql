-- name: select_deployments
-- With its schedules, the newest change first, its queue and pool, and its limit.
SELECT
    d.id, d.created, d.updated, d.name, d.flow_id, d.version, d.description, d.paused,
    d.concurrency_options, d.job_variables, d.parameters, d.parameter_openapi_schema,
    d.enforce_parameter_schema, d.tags, d.labels, d.work_queue_id, d.last_polled, d.path,
    d.entrypoint, d.pull_steps, d.storage_document_id, d.infrastructure_document_id,
    d.created_by, d.updated_by, d.status,
    coalesce(q.name, d.work_queue_name) AS work_queue_name, p.name AS work_pool_name,
    c.id AS limit_id, c.created AS limit_created, c.updated AS limit_updated,
    c.active AS limit_active, c.name AS limit_name, c."limit", c.active_slots,
    c.slot_decay_per_second,
    (
        SELECT jsonb_agg(
            jsonb_build_object(
                'id', s.id,
                'created', to_char(s.created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'updated', to_char(s.updated AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'deployment_id', s.deployment_id, 'schedule', s.schedule, 'active', s.active,
                'max_scheduled_runs', s.max_scheduled_runs, 'parameters', s.parameters,
                'slug', s.slug
            )
            ORDER BY s.updated DESC, s.id DESC
        )
        FROM deployment_schedule s WHERE s.deployment_id = d.id
    ) AS schedules
FROM deployment d
LEFT JOIN work_queue q ON q.id = d.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id
LEFT JOIN concurrency_limit c ON c.id = d.concurrency_limit_id

-- name: lock_deployment
-- Exactly one of $1 (id) and $2 with $3 (flow and name) says which. Runs of it may be made
-- meanwhile, but for those of its schedules: the scheduler takes a share of this lock.
SELECT d.id, d.concurrency_limit_id, d.work_queue_name FROM deployment d
WHERE d.id = $1::uuid OR (d.flow_id = $2::uuid AND d.name = $3::text)
FOR NO KEY UPDATE

-- name: insert_deployment
-- $1 is the whole row. Nothing comes back when the flow has a deployment of that name.
INSERT INTO deployment SELECT n.* FROM json_populate_record(NULL::deployment, $1::json) n
ON CONFLICT (flow_id, name) DO NOTHING
RETURNING id

-- name: update_deployment
-- $3 holds the columns that change; a column that it does not name stays.
UPDATE deployment AS d SET
    updated = $2,
    (
        version, description, paused, concurrency_limit_id, concurrency_options, job_variables,
        parameters, parameter_openapi_schema, enforce_parameter_schema, tags, labels,
        work_queue_id, work_queue_name, path, entrypoint, pull_steps, storage_document_id,
        infrastructure_document_id
    ) = (
        SELECT
            n.version, n.description, n.paused, n.concurrency_limit_id, n.concurrency_options,
            n.job_variables, n.parameters, n.parameter_openapi_schema,
            n.enforce_parameter_schema, n.tags, n.labels, n.work_queue_id, n.work_queue_name,
            n.path, n.entrypoint, n.pull_steps, n.storage_document_id,
            n.infrastructure_document_id
        FROM json_populate_record(d, $3::json) n
    )
WHERE d.id = $1

-- name: delete_deployments
DELETE FROM deployment WHERE id = ANY ($1::uuid[])

-- name: delete_own_deployment_limits
-- Limits that were made for these deployments; those that are shared stay.
DELETE FROM concurrency_limit
WHERE name = ANY (SELECT 'deployment:' || id::text FROM unnest($1::uuid[]) AS id)

-- name: set_own_deployment_limit
-- The limit that was made for a deployment, or is now; slots in use stay in use.
INSERT INTO concurrency_limit (
    id, created, updated, active, name, "limit", active_slots, denied_slots, slot_decay_per_second,
    avg_slot_occupancy_seconds
)
VALUES ($1, $2, $2, true, $3, $4, 0, 0, 0, $5)
ON CONFLICT (name) DO UPDATE SET "limit" = excluded."limit", updated = excluded.updated
RETURNING id

-- name: mark_deployments_polled
-- What another poller is just marking, or somebody changing, is left to them and to the next poll.
-- What was not ready comes back. `updated` stays: nothing about the schedules has changed.
WITH polled AS (
    SELECT id, status FROM deployment
    WHERE (id = ANY ($1::uuid[]) OR work_queue_id = ANY ($2::uuid[]))
        AND (status <> 'READY' OR last_polled IS NULL OR last_polled < $3::timestamptz - $4::interval)
    FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE deployment d SET status = 'READY', last_polled = $3
    FROM polled WHERE d.id = polled.id
)
SELECT id FROM polled WHERE status <> 'READY'

-- name: select_deployment_schedules
SELECT s.id, s.created, s.updated, s.deployment_id, s.schedule, s.active, s.max_scheduled_runs,
    s.parameters, s.slug
FROM deployment_schedule s WHERE s.deployment_id = $1
ORDER BY s.updated DESC, s.id DESC

-- name: insert_deployment_schedules
INSERT INTO deployment_schedule (
    id, created, updated, deployment_id, schedule, active, max_scheduled_runs, parameters, slug
)
SELECT new.id, $2, $2, $1, new.schedule, new.active, new.max_scheduled_runs, new.parameters,
    new.slug
FROM unnest(
    $3::uuid[], $4::jsonb[], $5::boolean[], $6::integer[], $7::jsonb[], $8::text[]
) AS new (id, schedule, active, max_scheduled_runs, parameters, slug)

-- name: update_deployment_schedule
-- A null means: as it is.
UPDATE deployment_schedule SET
    updated = $3,
    schedule = coalesce($4, schedule),
    active = coalesce($5, active),
    max_scheduled_runs = coalesce($6, max_scheduled_runs),
    parameters = coalesce($7, parameters),
    slug = coalesce($8, slug)
WHERE deployment_id = $1 AND id = $2
RETURNING id

-- name: clear_deployment_schedule_slugs
UPDATE deployment_schedule SET slug = NULL WHERE deployment_id = $1 AND id = ANY ($2::uuid[])

-- name: delete_deployment_schedule
DELETE FROM deployment_schedule WHERE deployment_id = $1 AND id = $2 RETURNING id

-- name: delete_deployment_schedules
DELETE FROM deployment_schedule WHERE deployment_id = $1

-- name: picking_a_deployment
-- Goes on from select_work_queues: queues that pick by tags or deployments, as old agents do. One
-- without a filter picks what is sent to it.
JOIN deployment d ON d.id = $1
WHERE q.filter IS NOT NULL AND (
        coalesce(q.filter -> 'tags', 'null') = 'null'
        OR q.filter -> 'tags' <@ to_jsonb(d.tags)
    ) AND (
        coalesce(q.filter -> 'deployment_ids', 'null') IN ('null', '[]')
        OR q.filter -> 'deployment_ids' ? d.id::text
    )
ORDER BY q.name, q.id

-- name: read_deployment_surroundings
-- What events about a deployment tell of what it belongs to.
SELECT f.name AS flow_name, q.name AS queue_name, p.id AS pool_id, p.name AS pool_name,
    p.type AS pool_type
FROM deployment d
JOIN flow f ON f.id = d.flow_id
LEFT JOIN work_queue q ON q.id = d.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id
WHERE d.id = $1

-- name: read_deployment_template
-- What a run made from a deployment takes from it, its flow, its queue and its pool.
SELECT d.id, d.name, d.flow_id, f.name AS flow_name, f.tags AS flow_tags, d.version, d.parameters,
    d.parameter_openapi_schema, d.enforce_parameter_schema, d.tags, d.labels, d.job_variables,
    d.infrastructure_document_id, d.work_queue_id, d.work_queue_name, q.name AS queue_name,
    p.id AS pool_id, p.name AS pool_name, p.type AS pool_type,
    p.base_job_template -> 'variables' AS variables
FROM deployment d
JOIN flow f ON f.id = d.flow_id
LEFT JOIN work_queue q ON q.id = d.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id
WHERE d.id = $1

-- name: read_deployment_labels
SELECT name, labels, tags FROM deployment WHERE id = $1
