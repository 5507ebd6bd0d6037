-- name: select_deployment_subjects
-- Deployments and what they belong to, as far as the events of their status tell.
SELECT
    d.id, d.name, d.flow_id, f.name AS flow_name, q.id AS work_queue_id, q.name AS work_queue_name,
    p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type
FROM deployment d
JOIN flow f ON f.id = d.flow_id
LEFT JOIN work_queue q ON q.id = d.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id
WHERE d.id = ANY ($1)
ORDER BY d.id

-- name: mark_silent_workers_offline
-- A worker is silent when three heartbeats are missing; without a word about them, after 3 x 30 s.
UPDATE worker SET status = 'OFFLINE', updated = $1
WHERE status = 'ONLINE'
    AND last_heartbeat_time
        < $1::timestamptz - 3 * make_interval(secs => greatest(1, coalesce(heartbeat_interval_seconds, 30)))
RETURNING id

-- name: mark_pools_without_workers
UPDATE work_pool p SET status = 'NOT_READY'
WHERE p.status = 'READY'
    AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.work_pool_id = p.id AND w.status = 'ONLINE')
RETURNING p.id, p.name, p.type, p.is_paused

-- name: mark_queues_nobody_polls
UPDATE work_queue q SET status = 'NOT_READY'
FROM work_pool p
WHERE p.id = q.work_pool_id AND q.status = 'READY'
    AND (q.last_polled IS NULL OR q.last_polled < $1)
RETURNING q.id, q.name, q.is_paused, p.id AS work_pool_id, p.name AS work_pool_name,
    p.type AS work_pool_type

-- name: mark_deployments_nobody_polls
-- A deployment whose queue is polled is served, whenever it was itself asked for.
UPDATE deployment d SET status = 'NOT_READY'
WHERE d.status = 'READY' AND (d.last_polled IS NULL OR d.last_polled < $1)
    AND NOT EXISTS (
        SELECT 1 FROM work_queue q WHERE q.id = d.work_queue_id AND q.last_polled >= $1
    )
RETURNING d.id
