-- name: select_work_pools
-- A pool of the type that has no workers has no status. Slots are counted where they are limited.
SELECT
    p.id, p.created, p.updated, p.name, p.description, p.type, p.base_job_template, p.is_paused,
    p.concurrency_limit, p.default_queue_id, p.storage_configuration,
    CASE
        WHEN p.type = 'prefect-agent' THEN NULL
        WHEN p.is_paused THEN 'PAUSED'
        ELSE p.status
    END AS status,
    CASE WHEN p.concurrency_limit IS NOT NULL THEN (
        SELECT count(*) FROM work_queue q JOIN flow_run r ON r.work_queue_id = q.id
        WHERE q.work_pool_id = p.id AND r.state_type IN ('PENDING', 'RUNNING')
    ) END AS active_slots
FROM work_pool p

-- name: insert_work_pool
-- Nothing comes back when the name is taken. Its default queue is served first.
WITH pool AS (
    INSERT INTO work_pool (
        id, created, updated, name, description, type, base_job_template, is_paused,
        concurrency_limit, default_queue_id, storage_configuration, status
    )
    VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'NOT_READY')
    ON CONFLICT (name) DO NOTHING
    RETURNING id
)
INSERT INTO work_queue (
    id, created, updated, name, description, is_paused, priority, work_pool_id, status
)
SELECT $9, $2, $2, $11, $12, false, 1, pool.id, 'NOT_READY' FROM pool
RETURNING work_pool_id

-- name: lock_work_pool
-- Also what orders the changes of its queues' priorities.
SELECT id FROM work_pool WHERE name = $1 FOR NO KEY UPDATE

-- name: update_work_pool
-- A null means: as it is, except where a flag beside the value says that null is meant. A pool that
-- is no longer paused is READY if and only if a worker of it is online.
UPDATE work_pool p SET
    updated = $2,
    is_paused = coalesce($3, p.is_paused),
    base_job_template = coalesce($4, p.base_job_template),
    storage_configuration = coalesce($5, p.storage_configuration),
    description = CASE WHEN $6::boolean THEN $7 ELSE p.description END,
    concurrency_limit = CASE WHEN $8::boolean THEN $9 ELSE p.concurrency_limit END,
    status = CASE
        WHEN $3 IS DISTINCT FROM false THEN p.status
        WHEN EXISTS (SELECT 1 FROM worker w WHERE w.work_pool_id = p.id AND w.status = 'ONLINE')
            THEN 'READY'
        ELSE 'NOT_READY'
    END
WHERE p.id = $1

-- name: delete_work_pool
-- Its queues and workers go with it; deployments and runs stay, without a queue.
WITH queues AS (
    SELECT q.id FROM work_queue q JOIN work_pool p ON p.id = q.work_pool_id WHERE p.id = $1
), runs AS (
    UPDATE flow_run SET work_queue_id = NULL WHERE work_queue_id IN (SELECT id FROM queues)
)
DELETE FROM work_pool WHERE id = $1

-- name: mark_work_pool_ready
-- Gives the pool if it was not ready before.
UPDATE work_pool SET status = 'READY' WHERE id = $1 AND status <> 'READY'
RETURNING id, name, type, is_paused
