-- name: read_flow
SELECT id, created, updated, name, tags, labels FROM flow WHERE id = $1

-- name: read_flow_by_name
SELECT id, created, updated, name, tags, labels FROM flow WHERE name = $1

-- name: insert_flow
-- Nothing comes back when the name was taken meanwhile.
INSERT INTO flow (id, created, updated, name, tags, labels)
VALUES ($1, $2, $2, $3, $4, $5)
ON CONFLICT (name) DO NOTHING
RETURNING id, created, updated, name, tags, labels

-- name: update_flow
-- A null means: as it is.
UPDATE flow SET updated = $2, tags = coalesce($3, tags) WHERE id = $1
RETURNING id, created, updated, name, tags, labels

-- name: delete_flow
-- Its runs go with it, and their logs from every reader; its deployments, and the limits that were
-- made for them. Subflow runs of other flows stay.
WITH runs AS (
    DELETE FROM flow_run WHERE flow_id = $1 RETURNING id
), tasks AS (
    DELETE FROM task_run WHERE flow_run_id IN (SELECT id FROM runs) RETURNING id
), orphans AS (
    UPDATE flow_run SET parent_task_run_id = NULL
    WHERE parent_task_run_id IN (SELECT id FROM tasks) AND flow_id <> $1
), tombstones AS (
    INSERT INTO log_tombstone (flow_run_id) SELECT id FROM runs ON CONFLICT DO NOTHING
), limits AS (
    DELETE FROM concurrency_limit
    WHERE name IN (SELECT 'deployment:' || id::text FROM deployment WHERE flow_id = $1)
)
DELETE FROM flow WHERE id = $1 RETURNING id, created, updated, name, tags, labels

-- name: select_flows
SELECT f.id, f.created, f.updated, f.name, f.tags, f.labels FROM flow f

-- name: count_deployments_of_flows
SELECT flow_id, count(*) AS count FROM deployment WHERE flow_id = ANY ($1::uuid[]) GROUP BY flow_id

-- name: select_next_runs_of_flows
-- The run of each flow that is due first.
SELECT r.id, r.flow_id, r.name, r.state_name, r.state_type, r.next_scheduled_start_time
FROM unnest($1::uuid[]) AS wanted (flow_id)
CROSS JOIN LATERAL (
    SELECT * FROM flow_run
    WHERE flow_id = wanted.flow_id AND state_type = 'SCHEDULED'
        AND next_scheduled_start_time IS NOT NULL
    ORDER BY next_scheduled_start_time, id
    LIMIT 1
) r
