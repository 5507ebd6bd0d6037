-- name: export_runs
SELECT run.id, run.name, run.created, run.flow_id, flow.name AS flow_name, run.deployment_id,
    deployment.name AS deployment_name, pool.name AS work_pool_name, run.work_queue_name,
    run.parent_task_run_id, run.state_type, run.state_name, run.state_timestamp,
    run.expected_start_time, run.start_time, run.end_time, run.total_run_time, run.run_count,
    to_json(run.tags) AS tags, run.parameters
FROM flow_run AS run
JOIN flow ON flow.id = run.flow_id
LEFT JOIN deployment ON deployment.id = run.deployment_id
LEFT JOIN work_queue AS queue ON queue.id = run.work_queue_id
LEFT JOIN work_pool AS pool ON pool.id = queue.work_pool_id

-- name: export_task_runs
SELECT id, name, created, flow_run_id, task_key, dynamic_key, state_type, state_name,
    state_timestamp, expected_start_time, start_time, end_time, total_run_time, run_count,
    to_json(tags) AS tags
FROM task_run

-- name: export_flows
SELECT id, name, created, to_json(tags) AS tags FROM flow

-- name: export_deployments
SELECT deployment.id, deployment.name, deployment.created, deployment.flow_id,
    flow.name AS flow_name, deployment.version, deployment.description, deployment.paused,
    deployment.status, pool.name AS work_pool_name, deployment.work_queue_name,
    to_json(deployment.tags) AS tags, deployment.last_polled
FROM deployment
JOIN flow ON flow.id = deployment.flow_id
LEFT JOIN work_queue AS queue ON queue.id = deployment.work_queue_id
LEFT JOIN work_pool AS pool ON pool.id = queue.work_pool_id

-- name: expiries
-- Lines that are left out of the next rewrite.
SELECT flow_run_id, below_level, before FROM log_expiry

-- name: bytes_of_batches
SELECT coalesce(sum(bytes), 0)::bigint FROM log_batch WHERE id = ANY ($1::bigint[])
