-- name: select_work_queues
-- Slots are counted where they are limited.
SELECT
    q.id, q.created, q.updated, q.name, q.description, q.is_paused, q.concurrency_limit,
    q.priority, q.work_pool_id, q.filter, q.last_polled, p.name AS work_pool_name,
    CASE WHEN q.is_paused THEN 'PAUSED' ELSE q.status END AS status,
    CASE WHEN q.concurrency_limit IS NOT NULL THEN (
        SELECT count(*) FROM flow_run r
        WHERE r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
    ) END AS active_slots
FROM work_queue q JOIN work_pool p ON p.id = q.work_pool_id

-- name: resolve_work_queue
-- The pool, and the queue of that name in it, or its default queue when no name is given.
SELECT p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type, q.id, q.name
FROM work_pool p LEFT JOIN work_queue q
    ON q.work_pool_id = p.id
    AND CASE WHEN $2::text IS NULL THEN q.id = p.default_queue_id ELSE q.name = $2 END
WHERE p.name = $1

-- name: select_work_queue_priorities
SELECT id, priority FROM work_queue WHERE work_pool_id = $1

-- name: write_work_queue_priorities
UPDATE work_queue q SET priority = new.priority, updated = $3
FROM unnest($1::uuid[], $2::integer[]) AS new (id, priority)
WHERE q.id = new.id

-- name: insert_work_queue
-- Nothing comes back when the name is taken.
INSERT INTO work_queue (
    id, created, updated, name, description, is_paused, concurrency_limit, priority,
    work_pool_id, filter, status
)
VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9, 'NOT_READY')
ON CONFLICT (work_pool_id, name) DO NOTHING
RETURNING id

-- name: update_work_queue
-- A null means: as it is, except where a flag beside the value says that null is meant. A queue that
-- is no longer paused is READY if and only if it was polled since $13.
UPDATE work_queue SET
    updated = $2,
    name = coalesce($3, name),
    is_paused = coalesce($4, is_paused),
    description = CASE WHEN $5::boolean THEN $6 ELSE description END,
    concurrency_limit = CASE WHEN $7::boolean THEN $8 ELSE concurrency_limit END,
    last_polled = CASE WHEN $9::boolean THEN $10 ELSE last_polled END,
    filter = CASE WHEN $11::boolean THEN $12 ELSE filter END,
    status = CASE
        WHEN $4 IS DISTINCT FROM false OR NOT is_paused THEN status
        WHEN CASE WHEN $9 THEN $10 ELSE last_polled END >= $13 THEN 'READY'
        ELSE 'NOT_READY'
    END
WHERE id = $1

-- name: delete_work_queue
-- Its deployments and runs stay, without a queue.
WITH runs AS (
    UPDATE flow_run SET work_queue_id = NULL WHERE work_queue_id = $1
)
DELETE FROM work_queue WHERE id = $1

-- name: select_slot_holders_of_pool
-- For each of these queues, how many runs take up room, and the first few of them.
SELECT q.id AS queue_id, q.name AS queue_name, q.concurrency_limit, busy.active_slots,
    r.id, r.name, r.state_type, r.state_name, r.start_time, r.state_timestamp
FROM work_queue q
CROSS JOIN LATERAL (
    SELECT count(*) AS active_slots FROM flow_run
    WHERE work_queue_id = q.id AND state_type IN ('PENDING', 'RUNNING')
) busy
LEFT JOIN LATERAL (
    SELECT id, name, state_type, state_name, start_time, state_timestamp FROM flow_run
    WHERE work_queue_id = q.id AND state_type IN ('PENDING', 'RUNNING')
    ORDER BY id LIMIT $2
) r ON true
WHERE q.id = ANY ($1)
ORDER BY q.priority, q.id, r.id

-- name: count_pool_slots_and_queues
SELECT
    (SELECT count(*) FROM work_queue WHERE work_pool_id = $1) AS queues,
    (
        SELECT count(*) FROM work_queue q JOIN flow_run r ON r.work_queue_id = q.id
        WHERE q.work_pool_id = $1 AND r.state_type IN ('PENDING', 'RUNNING')
    ) AS active_slots

-- name: select_slot_holders_of_queue
SELECT id, name, state_type, state_name, start_time, state_timestamp
FROM flow_run
WHERE work_queue_id = $1 AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING')
ORDER BY id LIMIT $2 OFFSET $3

-- name: count_slot_holders_of_queue
SELECT count(*) FROM flow_run
WHERE work_queue_id = $1 AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING')

-- name: count_late_runs_of_queue
SELECT count(*) FROM flow_run
WHERE work_queue_id = $1 AND state_type = 'SCHEDULED' AND state_name = 'Late'
