-- name: heartbeat_of_worker
-- The worker is ONLINE. Gives its pool as it was, nothing if there is none of that name.
WITH pool AS (
    SELECT id, name, type, status, is_paused, updated FROM work_pool WHERE name = $1
), beat AS (
    INSERT INTO worker (
        id, created, updated, name, work_pool_id, last_heartbeat_time,
        heartbeat_interval_seconds, status
    )
    SELECT $2, $3, $3, $4, pool.id, $3, $5, 'ONLINE' FROM pool
    ON CONFLICT (work_pool_id, name) DO UPDATE SET
        updated = excluded.updated,
        last_heartbeat_time = excluded.last_heartbeat_time,
        heartbeat_interval_seconds =
            coalesce(excluded.heartbeat_interval_seconds, worker.heartbeat_interval_seconds),
        status = 'ONLINE'
)
SELECT id, name, type, status, is_paused, updated FROM pool

-- name: select_workers
SELECT
    w.id, w.created, w.updated, w.name, w.work_pool_id, w.last_heartbeat_time,
    w.heartbeat_interval_seconds, w.status
FROM worker w

-- name: delete_worker
DELETE FROM worker WHERE work_pool_id = $1 AND name = $2 RETURNING id
