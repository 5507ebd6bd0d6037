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
UPDATE flow SET updated = $2, tags = coalesce($3, tags) WHERE id = $1 RETURNING id

-- name: delete_flow
-- Its runs go with it, and their logs from every reader. Subflow runs of other flows stay.
WITH runs AS (
    DELETE FROM flow_run WHERE flow_id = $1 RETURNING id
), tasks AS (
    DELETE FROM task_run WHERE flow_run_id IN (SELECT id FROM runs) RETURNING id
), orphans AS (
    UPDATE flow_run SET parent_task_run_id = NULL
    WHERE parent_task_run_id IN (SELECT id FROM tasks) AND flow_id <> $1
), tombstones AS (
    INSERT INTO log_tombstone (flow_run_id) SELECT id FROM runs ON CONFLICT DO NOTHING
)
DELETE FROM flow WHERE id = $1 RETURNING id

-- name: select_flows
SELECT f.id, f.created, f.updated, f.name, f.tags, f.labels FROM flow f
