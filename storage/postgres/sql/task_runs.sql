-- name: select_task_runs
SELECT
    t.id, t.created, t.updated, t.name, t.flow_run_id, t.task_key, t.dynamic_key, t.cache_key,
    t.cache_expiration, t.task_version, t.flow_run_run_count, t.empirical_policy, t.task_inputs,
    t.tags, t.labels, t.state_id, t.state_type, t.state_name, t.state_timestamp, t.run_count,
    t.expected_start_time, t.next_scheduled_start_time, t.start_time, t.end_time,
    t.total_run_time, s.message AS state_message, s.data AS state_data, s.state_details
FROM task_run t LEFT JOIN task_run_state s ON s.id = t.state_id

-- name: read_task_run_name_and_tags
SELECT name, tags FROM task_run WHERE id = $1

-- name: read_task_run_by_key
-- Two halves, because the index on the key serves = and IS NULL, but not IS NOT DISTINCT FROM.
SELECT id FROM task_run WHERE flow_run_id = $1 AND task_key = $2 AND dynamic_key = $3
UNION ALL
SELECT id FROM task_run
WHERE $1 IS NULL AND flow_run_id IS NULL AND task_key = $2 AND dynamic_key = $3

-- name: update_task_run
-- A null means: as it is.
UPDATE task_run SET updated = $2, name = coalesce($3, name) WHERE id = $1 RETURNING id

-- name: delete_task_run
-- Its log lines are gone for every reader in the same statement.
WITH orphans AS (
    UPDATE flow_run SET parent_task_run_id = NULL WHERE parent_task_run_id = $1
), run AS (
    DELETE FROM task_run WHERE id = $1 RETURNING id, flow_run_id
), tombstone AS (
    INSERT INTO log_task_tombstone (task_run_id, flow_run_id)
    SELECT id, flow_run_id FROM run
    ON CONFLICT DO NOTHING
)
SELECT id FROM run
