-- name: read_polled_queues
-- The pool of that name and its queues, or those of them that are named, and whether something is
-- due in each. One row without a queue when there is none.
SELECT
    p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type, p.is_paused AS pool_is_paused,
    q.id, q.name, q.is_paused, q.last_polled,
    EXISTS (
        SELECT 1 FROM flow_run r
        WHERE r.work_queue_id = q.id AND r.state_type = 'SCHEDULED'
            AND r.next_scheduled_start_time <= $3
    ) AS has_due
FROM work_pool p LEFT JOIN work_queue q
    ON q.work_pool_id = p.id AND (cardinality($2::text[]) = 0 OR q.name = ANY ($2))
WHERE p.name = $1
ORDER BY q.priority, q.id

-- name: lock_offers
-- Two pollers that choose at once would choose the same runs.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0))

-- name: offer_runs_of_queues
-- The runs that are due in these queues ($2) of a pool ($1), for one poller: by the priority of
-- their queue, then by time. As many as there is room for in the pool and in each queue. What was
-- handed out for the first time since $5 is left out, and what was handed out again since then comes
-- after what was not, the latest last. The answer is noted in flow_run_offer if $8 says so.
WITH offered AS MATERIALIZED (
    SELECT flow_run_id, scheduled, first_offered, last_offered FROM flow_run_offer WHERE last_offered > $5
), pool AS MATERIALIZED (
    SELECT
        CASE WHEN p.concurrency_limit IS NOT NULL THEN greatest(0, p.concurrency_limit - (
            SELECT count(*) FROM work_queue q JOIN flow_run b ON b.work_queue_id = q.id
            WHERE q.work_pool_id = p.id AND b.state_type IN ('PENDING', 'RUNNING')
        )) END AS room,
        -- So many are enough to leave out all that may be left out.
        $7::bigint + (SELECT count(*) FROM offered) AS enough
    FROM work_pool p WHERE p.id = $1 AND NOT p.is_paused
), due AS (
    SELECT q.priority, r.id, r.scheduled
    FROM pool
    CROSS JOIN (
        SELECT id, priority, CASE WHEN concurrency_limit IS NOT NULL THEN greatest(0, concurrency_limit - (
            SELECT count(*) FROM flow_run b
            WHERE b.work_queue_id = work_queue.id AND b.state_type IN ('PENDING', 'RUNNING')
        )) END AS room
        FROM work_queue WHERE id = ANY ($2::uuid[]) AND NOT is_paused
    ) q
    CROSS JOIN LATERAL (
        SELECT id, next_scheduled_start_time AS scheduled FROM flow_run
        WHERE work_queue_id = q.id AND state_type = 'SCHEDULED'
            AND next_scheduled_start_time <= $3 AND next_scheduled_start_time >= $4
            -- A run that its own process will try again is not for others.
            AND empirical_policy ->> 'retry_type' IS DISTINCT FROM 'in_process'
        ORDER BY next_scheduled_start_time, id
        LIMIT least(q.room, pool.room, pool.enough)
    ) r
    ORDER BY q.priority, r.scheduled, r.id
    LIMIT (SELECT room FROM pool)
), chosen AS (
    SELECT due.id, due.scheduled, row_number() OVER (
        ORDER BY due.priority, offered.last_offered NULLS FIRST, due.scheduled, due.id
    ) AS place
    FROM due LEFT JOIN offered
        ON offered.flow_run_id = due.id AND offered.scheduled = due.scheduled
    WHERE offered.first_offered IS NULL OR offered.first_offered <= $5
    ORDER BY place
    LIMIT $7
), noted AS (
    INSERT INTO flow_run_offer AS o (flow_run_id, scheduled, first_offered, last_offered)
    SELECT id, scheduled, $6, $6 FROM chosen WHERE $8
    ON CONFLICT (flow_run_id) DO UPDATE SET
        scheduled = excluded.scheduled,
        last_offered = excluded.last_offered,
        first_offered = CASE
            WHEN o.scheduled = excluded.scheduled THEN o.first_offered
            ELSE excluded.first_offered
        END
)
SELECT id FROM chosen ORDER BY place

-- name: due_runs_of_queue_filter
-- Due runs of any queue, of deployments, that have all the tags ($2, if not null) and are of one of
-- the deployments ($3, if not null), by time; as many as there is room for in the queue ($1).
SELECT r.id FROM flow_run r
WHERE r.state_type = 'SCHEDULED' AND r.next_scheduled_start_time <= $4
    AND r.deployment_id IS NOT NULL
    AND ($2::text[] IS NULL OR r.tags @> $2)
    AND ($3::uuid[] IS NULL OR r.deployment_id = ANY ($3))
ORDER BY r.next_scheduled_start_time, r.id
LIMIT (
    SELECT least($5::bigint, CASE WHEN q.concurrency_limit IS NOT NULL THEN greatest(0, q.concurrency_limit - (
        SELECT count(*) FROM flow_run b
        WHERE b.state_type IN ('PENDING', 'RUNNING') AND b.deployment_id IS NOT NULL
            AND ($2::text[] IS NULL OR b.tags @> $2)
            AND ($3::uuid[] IS NULL OR b.deployment_id = ANY ($3))
    )) END)
    FROM work_queue q WHERE q.id = $1
)

-- name: offer_runs_of_deployments
-- As offer_runs_of_queues, for the runs of deployments, by time; nothing limits them.
WITH offered AS MATERIALIZED (
    SELECT flow_run_id, scheduled, first_offered, last_offered FROM flow_run_offer WHERE last_offered > $3
), due AS (
    SELECT r.id, r.scheduled
    FROM unnest($1::uuid[]) AS d (id)
    CROSS JOIN LATERAL (
        SELECT id, next_scheduled_start_time AS scheduled FROM flow_run
        WHERE deployment_id = d.id AND state_type = 'SCHEDULED'
            AND next_scheduled_start_time <= $2
        ORDER BY next_scheduled_start_time, id
        LIMIT $5::bigint + (SELECT count(*) FROM offered)
    ) r
), chosen AS (
    SELECT due.id, due.scheduled, row_number() OVER (
        ORDER BY offered.last_offered NULLS FIRST, due.scheduled, due.id
    ) AS place
    FROM due LEFT JOIN offered
        ON offered.flow_run_id = due.id AND offered.scheduled = due.scheduled
    WHERE offered.first_offered IS NULL OR offered.first_offered <= $3
    ORDER BY place
    LIMIT $5
), noted AS (
    INSERT INTO flow_run_offer AS o (flow_run_id, scheduled, first_offered, last_offered)
    SELECT id, scheduled, $4, $4 FROM chosen WHERE $6
    ON CONFLICT (flow_run_id) DO UPDATE SET
        scheduled = excluded.scheduled,
        last_offered = excluded.last_offered,
        first_offered = CASE
            WHEN o.scheduled = excluded.scheduled THEN o.first_offered
            ELSE excluded.first_offered
        END
)
SELECT id FROM chosen ORDER BY place

-- name: any_due_of_deployments
SELECT EXISTS (
    SELECT 1 FROM unnest($1::uuid[]) AS d (id)
    WHERE EXISTS (
        SELECT 1 FROM flow_run
        WHERE deployment_id = d.id AND state_type = 'SCHEDULED'
            AND next_scheduled_start_time <= $2
    )
)

-- name: mark_work_queues_polled
-- What another poller is just marking is left to it. Those come back that were not ready before.
WITH polled AS (
    SELECT q.id, q.status FROM work_queue q
    WHERE q.id = ANY ($1::uuid[]) AND (q.last_polled IS NULL OR q.last_polled < $3)
    FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE work_queue q SET last_polled = $2, status = 'READY'
    FROM polled WHERE q.id = polled.id
    RETURNING q.id, q.name, q.is_paused, q.work_pool_id
)
SELECT marked.id, marked.name, marked.is_paused, p.id AS work_pool_id, p.name AS work_pool_name,
    p.type AS work_pool_type
FROM marked JOIN polled USING (id) JOIN work_pool p ON p.id = marked.work_pool_id
WHERE polled.status <> 'READY'

-- name: forget_old_offers
DELETE FROM flow_run_offer WHERE last_offered < $1
