-- name: select_flow_runs
-- A queue is answered under the name that it has now.
SELECT
    r.id, r.created, r.updated, r.name, r.flow_id, r.flow_version, r.deployment_id,
    r.deployment_version, r.work_queue_id, coalesce(q.name, r.work_queue_name) AS work_queue_name,
    q.work_pool_id, p.name AS work_pool_name, r.parameters, r.context,
    r.idempotency_key, r.empirical_policy, r.tags, r.labels, r.job_variables,
    r.parent_task_run_id, r.auto_scheduled, r.infrastructure_document_id, r.infrastructure_pid,
    r.created_by, r.state_id, r.state_type, r.state_name, r.state_timestamp, r.run_count,
    r.expected_start_time, r.next_scheduled_start_time, r.start_time, r.end_time,
    r.total_run_time, s.message AS state_message, s.data AS state_data, s.state_details
FROM flow_run r
LEFT JOIN flow_run_state s ON s.id = r.state_id
LEFT JOIN work_queue q ON q.id = r.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id

-- name: owned_among
-- Those of the runs `$1` that are of any of these flows and any of these deployments; null is any at all.
SELECT id FROM flow_run
WHERE id = ANY ($1::uuid[])
    AND ($2::uuid[] IS NULL OR flow_id = ANY ($2)) AND ($3::uuid[] IS NULL OR deployment_id = ANY ($3))

-- name: update_flow_run
-- A null means: as it is, except where a flag beside the value says that null is meant.
UPDATE flow_run SET
    updated = $2,
    name = coalesce($3, name),
    parameters = coalesce($4, parameters),
    empirical_policy = coalesce($5, empirical_policy),
    tags = coalesce($6, tags),
    flow_version = CASE WHEN $7::boolean THEN $8 ELSE flow_version END,
    infrastructure_pid = CASE WHEN $9::boolean THEN $10 ELSE infrastructure_pid END,
    job_variables = CASE WHEN $11::boolean THEN $12 ELSE job_variables END
WHERE id = $1
RETURNING id

-- name: merge_flow_run_labels
UPDATE flow_run SET updated = $2, labels = labels || $3 WHERE id = $1 RETURNING id

-- name: lock_flow_runs
-- In the order of their ids, so that nobody waits for another in a ring.
SELECT id FROM flow_run WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE

-- name: lock_holding_flow_runs
-- The runs of these flows that may hold a slot of their deployment's limit.
SELECT id FROM flow_run
WHERE flow_id = ANY ($1::uuid[]) AND deployment_id IS NOT NULL
    AND state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'CANCELLING')
ORDER BY id FOR UPDATE

-- name: select_leases_of_flow_runs
SELECT (s.state_details ->> 'deployment_concurrency_lease_id')::uuid AS id
FROM flow_run r JOIN flow_run_state s ON s.id = r.state_id
WHERE r.id = ANY ($1::uuid[]) AND r.deployment_id IS NOT NULL
    AND s.type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'CANCELLING')
    AND s.state_details ->> 'deployment_concurrency_lease_id' IS NOT NULL

-- name: delete_flow_run
-- Its task runs go with it, and its logs from every reader. Its subflow runs stay.
WITH run AS (
    DELETE FROM flow_run WHERE id = $1 RETURNING id
), tasks AS (
    DELETE FROM task_run WHERE flow_run_id IN (SELECT id FROM run) RETURNING id
), orphans AS (
    UPDATE flow_run SET parent_task_run_id = NULL
    WHERE parent_task_run_id IN (SELECT id FROM tasks) AND id <> $1
), tombstone AS (
    INSERT INTO log_tombstone (flow_run_id) SELECT id FROM run ON CONFLICT DO NOTHING
)
SELECT id FROM run

-- name: read_flow_run_by_idempotency_key
SELECT id FROM flow_run WHERE flow_id = $1 AND idempotency_key = $2
