-- name: select_flow_run_states
SELECT id, type, name, timestamp, message, data, state_details
FROM flow_run_state WHERE flow_run_id = $1 ORDER BY timestamp, id

-- name: select_flow_run_state_changes
SELECT id, type, name, timestamp, message, state_details, changed_by
FROM flow_run_state WHERE flow_run_id = $1 ORDER BY timestamp, id

-- name: read_flow_run_state
SELECT id, type, name, timestamp, message, data, state_details FROM flow_run_state WHERE id = $1

-- name: select_task_run_states
SELECT id, type, name, timestamp, message, data, state_details
FROM task_run_state WHERE task_run_id = $1 ORDER BY timestamp, id

-- name: read_task_run_state
SELECT id, type, name, timestamp, message, data, state_details FROM task_run_state WHERE id = $1

-- name: lock_flow_run
-- When this waits for the lock, the run comes back as it is then, but the joined state as of the
-- start of the statement: a state_id without a state_details says so, and the caller reads again.
-- NO KEY: states of the run may be inserted meanwhile, which takes a share of its key.
SELECT
    r.id, r.name, r.flow_id, f.name AS flow_name, r.empirical_policy, r.deployment_id,
    r.parent_task_run_id, r.infrastructure_pid, r.tags, r.state_id, r.state_type, r.state_name,
    r.state_timestamp, r.run_count, r.expected_start_time, r.next_scheduled_start_time,
    r.start_time, r.end_time, r.total_run_time,
    s.message AS state_message, s.data AS state_data, s.state_details,
    d.id AS known_deployment_id, d.name AS deployment_name, d.concurrency_limit_id,
    d.concurrency_options, q.id AS queue_id, q.name AS queue_name, p.id AS pool_id,
    p.name AS pool_name, p.type AS pool_type, r.awaits_new_process,
    r.created_by, t.name AS parent_task_run_name, f.tags || coalesce(d.tags, '{}') || coalesce(t.tags, '{}') AS tags_around
FROM flow_run r
JOIN flow f ON f.id = r.flow_id
LEFT JOIN task_run t ON t.id = r.parent_task_run_id
LEFT JOIN flow_run_state s ON s.id = r.state_id
LEFT JOIN deployment d ON d.id = r.deployment_id
LEFT JOIN work_queue q ON q.id = r.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id
WHERE r.id = $1
FOR NO KEY UPDATE OF r

-- name: write_flow_run_state
-- The state ($2..$9, $22), the run as the state leaves it, and the event that tells ($17..$21; a null
-- name means that nothing is told). $1 is the run, $7 the time of writing.
WITH state AS (
    INSERT INTO flow_run_state
        (id, flow_run_id, type, name, timestamp, message, created, data, state_details, changed_by)
    VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9, $22)
), event AS (
    INSERT INTO event (id, occurred, received, event, resource, related, payload, follows)
    SELECT $2::uuid, $5::timestamptz, $7::timestamptz, $17::text, $18::jsonb, $19::jsonb,
        $20::jsonb, $21::uuid
    WHERE $17::text IS NOT NULL
    ON CONFLICT (id) DO NOTHING
)
UPDATE flow_run SET
    updated = $7, state_id = $2, state_type = $3, state_name = $4, state_timestamp = $5,
    run_count = $10, expected_start_time = $11, next_scheduled_start_time = $12, start_time = $13,
    end_time = $14, total_run_time = $15, empirical_policy = $16,
    awaits_new_process = awaits_new_process AND $3 IN ('SCHEDULED', 'PENDING')
WHERE id = $1

-- name: write_flow_run_policy
UPDATE flow_run SET updated = $2, empirical_policy = $3 WHERE id = $1

-- name: insert_flow_run
-- Run, first state and event at once; nothing at all when the idempotency key is taken.
WITH run AS (
    INSERT INTO flow_run (
        id, created, updated, name, flow_id, flow_version, deployment_id, work_queue_name,
        parameters, context, idempotency_key, empirical_policy, tags, labels, job_variables,
        parent_task_run_id, infrastructure_document_id, created_by, state_id, state_type,
        state_name, state_timestamp, run_count, expected_start_time, next_scheduled_start_time,
        start_time, end_time, total_run_time, deployment_version, work_queue_id
    )
    VALUES (
        $1, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        $20, $21, $22, $23, $24, $25, $26, $27, $35, $36
    )
    ON CONFLICT (flow_id, idempotency_key) DO NOTHING
    RETURNING id
), state AS (
    INSERT INTO flow_run_state
        (id, flow_run_id, created, type, name, timestamp, message, data, state_details, changed_by)
    SELECT $18::uuid, id, $2::timestamptz, $19::text, $20::text, $21::timestamptz, $28::text,
        $29::jsonb, $30::jsonb, $37::text
    FROM run
), event AS (
    INSERT INTO event (id, occurred, received, event, resource, related, payload, follows)
    SELECT $18::uuid, $21::timestamptz, $2::timestamptz, $31::text, $32::jsonb, $33::jsonb,
        $34::jsonb, NULL
    FROM run
    ON CONFLICT (id) DO NOTHING
)
SELECT id FROM run

-- name: lock_task_run
-- As lock_flow_run; the flow run around it is read, not locked.
SELECT
    t.id, t.name, t.flow_run_id, t.flow_run_run_count, t.empirical_policy, t.tags, t.state_id,
    t.state_type, t.state_name, t.state_timestamp, t.run_count, t.expected_start_time,
    t.next_scheduled_start_time, t.start_time, t.end_time, t.total_run_time,
    s.message AS state_message, s.data AS state_data, s.state_details,
    r.id AS enclosing_id, r.run_count AS enclosing_run_count, r.state_id AS enclosing_state_id,
    r.state_type AS enclosing_state_type, r.state_name AS enclosing_state_name,
    r.state_timestamp AS enclosing_state_timestamp, rs.state_details AS enclosing_state_details
FROM task_run t
LEFT JOIN task_run_state s ON s.id = t.state_id
LEFT JOIN flow_run r ON r.id = t.flow_run_id
LEFT JOIN flow_run_state rs ON rs.id = r.state_id
WHERE t.id = $1
FOR NO KEY UPDATE OF t

-- name: write_task_run_state
WITH state AS (
    INSERT INTO task_run_state
        (id, task_run_id, type, name, timestamp, message, created, data, state_details)
    VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9)
)
UPDATE task_run SET
    updated = $7, state_id = $2, state_type = $3, state_name = $4, state_timestamp = $5,
    run_count = $10, expected_start_time = $11, next_scheduled_start_time = $12, start_time = $13,
    end_time = $14, total_run_time = $15, flow_run_run_count = $16
WHERE id = $1

-- name: insert_task_run
-- Run and first state at once; nothing when the key or the id is taken.
WITH run AS (
    INSERT INTO task_run (
        id, created, updated, name, flow_run_id, task_key, dynamic_key, cache_key,
        cache_expiration, task_version, empirical_policy, task_inputs, tags, labels, state_id,
        state_type, state_name, state_timestamp, run_count, expected_start_time,
        next_scheduled_start_time, start_time, end_time, total_run_time
    )
    VALUES (
        $1, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        $20, $21, $22, $23
    )
    ON CONFLICT DO NOTHING
    RETURNING id
), state AS (
    INSERT INTO task_run_state
        (id, task_run_id, created, type, name, timestamp, message, data, state_details)
    SELECT $14::uuid, id, $2::timestamptz, $15::text, $16::text, $17::timestamptz, $24::text,
        $25::jsonb, $26::jsonb
    FROM run
)
SELECT id FROM run

-- name: read_cached_state
SELECT s.id, s.type, s.name, s.timestamp, s.message, s.data, s.state_details
FROM task_run_state_cache c JOIN task_run_state s ON s.id = c.task_run_state_id
WHERE c.cache_key = $1 AND (c.cache_expiration IS NULL OR c.cache_expiration > $2)
ORDER BY c.created DESC
LIMIT 1

-- name: insert_cached_state
INSERT INTO task_run_state_cache (cache_key, created, cache_expiration, task_run_state_id)
VALUES ($1, $2, $3, $4)
