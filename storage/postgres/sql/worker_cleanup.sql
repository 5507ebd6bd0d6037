-- name: insert_worker_cleanup
INSERT INTO worker_cleanup (id, created, work_pool_id, work_queue_id, kind, target)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING pg_notify($7, work_pool_id::text)

-- name: reserve_worker_cleanup
-- The oldest message that waits for a worker of the pool, if the holder has room for one more. Those
-- of queues that it does not serve are left to others for a while.
UPDATE worker_cleanup SET
    delivery_count = delivery_count + 1,
    holder = $2,
    reservation_token = $3,
    lease_expires_at = $4
WHERE id = (
    SELECT c.id FROM worker_cleanup c
    WHERE c.work_pool_id = $1 AND c.died IS NULL AND c.lease_expires_at IS NULL
        AND c.kind = ANY ($5)
        AND (c.work_queue_id IS NULL OR c.work_queue_id = ANY ($6) OR c.created < $7)
        AND $8 > (
            SELECT count(*) FROM worker_cleanup h WHERE h.holder = $2 AND h.lease_expires_at > $9
        )
    ORDER BY c.created
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING id, kind, target, work_queue_id, delivery_count

-- name: lock_worker_cleanup
SELECT work_pool_id, reservation_token, lease_expires_at, delivery_count
FROM worker_cleanup WHERE id = $1 AND died IS NULL
FOR UPDATE

-- name: delete_worker_cleanup
DELETE FROM worker_cleanup WHERE id = $1

-- name: renew_worker_cleanup
UPDATE worker_cleanup SET lease_expires_at = $2 WHERE id = $1

-- name: free_worker_cleanup
UPDATE worker_cleanup SET holder = NULL, reservation_token = NULL, lease_expires_at = NULL
WHERE id = $1
RETURNING pg_notify($2, work_pool_id::text)

-- name: bury_worker_cleanup
UPDATE worker_cleanup SET died = $2, release_reason = $3 WHERE id = $1

-- name: expire_worker_cleanup
-- Who let a lease run out is done with the message.
UPDATE worker_cleanup c SET
    holder = NULL,
    reservation_token = NULL,
    lease_expires_at = NULL,
    died = CASE WHEN c.delivery_count >= $2 THEN $1::timestamptz END
WHERE c.id IN (
    SELECT id FROM worker_cleanup
    WHERE died IS NULL AND lease_expires_at <= $1
    ORDER BY lease_expires_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
RETURNING c.id, c.died IS NOT NULL AS died

-- name: wake_worker_cleanup
SELECT pg_notify($1, work_pool_id::text) FROM (
    SELECT DISTINCT work_pool_id FROM worker_cleanup WHERE died IS NULL AND lease_expires_at IS NULL
) waiting

-- name: forget_worker_cleanup
DELETE FROM worker_cleanup
WHERE created < $1 AND (lease_expires_at IS NULL OR lease_expires_at < $1)
