-- name: count_task_runs_of_flow_runs
-- Without those that stand for a subflow run.
SELECT t.flow_run_id, count(*) AS count
FROM task_run t
WHERE t.flow_run_id = ANY ($1::uuid[])
    AND NOT EXISTS (SELECT 1 FROM flow_run r WHERE r.parent_task_run_id = t.id)
GROUP BY t.flow_run_id

-- name: read_flow_run_name
SELECT name FROM flow_run WHERE id = $1
