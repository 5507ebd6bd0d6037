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
SELECT p.id AS work_pool_id, p.name AS work_pool_name, q.id, q.name
FROM work_pool p LEFT JOIN work_queue q
    ON q.work_pool_id = p.id
    AND CASE WHEN $2::text IS NULL THEN q.id = p.default_queue_id ELSE q.name = $2 END
WHERE p.name = $1

-- name: insert_work_queue
-- Nothing comes back when the name is taken. Without a priority it comes last.
INSERT INTO work_queue (
    id, created, updated, name, description, is_paused, concurrency_limit, priority,
    work_pool_id, filter, status
)
SELECT
    $1, $2, $2, $3, $4, $5, $6,
    coalesce($7, (SELECT max(priority) + 1 FROM work_queue WHERE work_pool_id = $8), 1),
    $8, $9, 'NOT_READY'
ON CONFLICT (work_pool_id, name) DO NOTHING
RETURNING id
