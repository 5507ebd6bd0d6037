-- name: enqueue_deferred_task_run
-- A run that was queued before waits from now on. Whoever serves the key is told; a longer key
-- than a notification holds is told in part.
WITH queued AS (
    INSERT INTO deferred_task_run (task_run_id, task_key, queued)
    SELECT id, task_key, $2 FROM task_run WHERE id = $1
    ON CONFLICT (task_run_id) DO UPDATE
        SET queued = excluded.queued, held_until = NULL, connection = NULL
    RETURNING task_key
)
SELECT pg_notify('tailrace_deferred_task_runs', left(task_key, 1000)) FROM queued

-- name: claim_deferred_task_run
-- The longest waiting run of the first of the keys $1 that has one, for connection $3 until $4.
-- What another connection locks at this moment is on its way to another worker.
WITH next AS (
    SELECT waiting.task_run_id
    FROM unnest($1::text[]) AS served (task_key)
    CROSS JOIN LATERAL (
        SELECT d.task_run_id FROM deferred_task_run d
        WHERE d.task_key = served.task_key AND (d.held_until IS NULL OR d.held_until < $2)
        ORDER BY d.queued, d.task_run_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS waiting
    LIMIT 1
)
UPDATE deferred_task_run d SET held_until = $4, connection = $3
FROM next WHERE d.task_run_id = next.task_run_id
RETURNING d.task_run_id

-- name: take_deferred_task_run
DELETE FROM deferred_task_run WHERE task_run_id = $1 AND connection = $2

-- name: give_back_deferred_task_run
WITH given_back AS (
    UPDATE deferred_task_run SET held_until = NULL, connection = NULL
    WHERE task_run_id = $1 AND connection = $2
    RETURNING task_key
)
SELECT pg_notify('tailrace_deferred_task_runs', left(task_key, 1000)) FROM given_back

-- name: see_task_worker
-- The connection is alive, and holds on to what it was handed until $5.
WITH held AS (
    UPDATE deferred_task_run SET held_until = $5 WHERE connection = $1 AND task_run_id = $6
)
INSERT INTO task_worker (connection, identifier, task_keys, seen) VALUES ($1, $2, $3, $4)
ON CONFLICT (connection) DO UPDATE SET seen = excluded.seen

-- name: forget_task_worker
-- With those that died without a word before $2.
DELETE FROM task_worker WHERE connection = $1 OR seen < $2

-- name: select_task_workers
-- Those seen since $1 that serve one of the keys $2 (null: any).
SELECT w.identifier, array_agg(DISTINCT served.task_key) AS task_keys, max(w.seen) AS seen
FROM task_worker w CROSS JOIN unnest(w.task_keys) AS served (task_key)
WHERE w.seen >= $1
GROUP BY w.identifier
HAVING $2::text[] IS NULL OR array_agg(served.task_key) && $2
ORDER BY w.identifier
