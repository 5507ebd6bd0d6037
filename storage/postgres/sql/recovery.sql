-- name: listen_for_signs
-- Say that somebody listens. After a break of more than $1, or when something was missed ($2),
-- silence begins anew. It is not written more often than needed, whoever asks.
INSERT INTO flow_run_watch AS w (since, last_listened) VALUES (now(), now())
ON CONFLICT (only_row) DO UPDATE SET
    since = CASE
        WHEN $2::boolean OR w.last_listened < now() - $1::interval THEN now() ELSE w.since
    END,
    last_listened = now()
WHERE $2::boolean OR w.last_listened < now() - interval '1 second'

-- name: write_signs
INSERT INTO flow_run_sign AS s (flow_run_id, last_heard, last_beat)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[])
ON CONFLICT (flow_run_id) DO UPDATE SET
    last_heard = greatest(s.last_heard, excluded.last_heard),
    last_beat = greatest(s.last_beat, excluded.last_beat),
    gap = CASE WHEN excluded.last_beat > s.last_beat
        THEN excluded.last_beat - s.last_beat ELSE s.gap END,
    earlier_gap = CASE WHEN excluded.last_beat > s.last_beat THEN s.gap ELSE s.earlier_gap END

-- name: prune_signs
-- Of runs that have ended or are not there, except what was heard lately.
DELETE FROM flow_run_sign s
WHERE s.last_heard < $1
    AND NOT EXISTS (
        SELECT FROM flow_run r WHERE r.id = s.flow_run_id
            AND r.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
    )

-- name: read_watch
-- Since when somebody listens without a break, unless nobody has for $1.
SELECT since FROM flow_run_watch WHERE last_listened > now() - $1::interval

-- name: look_up_beats
-- What the signs do not know, the event stream may: heartbeats of running runs from before the
-- table was lost. Each run is asked for once.
WITH unknown AS (
    SELECT r.id
    FROM flow_run r
    LEFT JOIN flow_run_sign s ON s.flow_run_id = r.id
    WHERE r.state_type = 'RUNNING' AND s.last_beat IS NULL
        AND s.beats_looked_up IS NOT TRUE AND r.updated < $1
    ORDER BY r.id
    LIMIT $2
)
INSERT INTO flow_run_sign AS s
    (flow_run_id, last_heard, last_beat, gap, earlier_gap, beats_looked_up)
SELECT u.id, coalesce(b.received, to_timestamp(0)), b.last_beat, b.gap, b.earlier_gap, true
FROM unknown u
CROSS JOIN LATERAL (
    SELECT max(received) AS received, max(occurred) AS last_beat,
        max(occurred) FILTER (WHERE n = 1) - max(occurred) FILTER (WHERE n = 2) AS gap,
        max(occurred) FILTER (WHERE n = 2) - max(occurred) FILTER (WHERE n = 3) AS earlier_gap
    FROM (
        SELECT received, occurred, row_number() OVER (ORDER BY occurred DESC) AS n
        FROM (
            SELECT e.received, e.occurred FROM event e
            WHERE left(e.resource ->> 'prefect.resource.id', 500) = 'prefect.flow-run.' || u.id
                AND e.event = 'prefect.flow-run.heartbeat'
            ORDER BY e.occurred DESC LIMIT 3
        ) newest
    ) numbered
) b
ON CONFLICT (flow_run_id) DO UPDATE SET
    last_beat = coalesce(s.last_beat, excluded.last_beat),
    gap = coalesce(s.gap, excluded.gap),
    earlier_gap = coalesce(s.earlier_gap, excluded.earlier_gap),
    beats_looked_up = true

-- name: silent_runs
-- Runs that live in a process of their own ($1: PENDING or RUNNING) of which nothing was heard since
-- $2, by their ids, after $3.
SELECT r.id
FROM flow_run r LEFT JOIN flow_run_sign s ON s.flow_run_id = r.id
-- The second half says which index holds them, whatever $1 is.
WHERE r.state_type = $1 AND r.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING')
    AND (r.parent_task_run_id IS NULL OR r.deployment_id IS NOT NULL)
    AND r.updated < $2 AND coalesce(s.last_heard < $2, true)
    AND r.id > $3
ORDER BY r.id
LIMIT $4

-- name: overdue_runs
-- SCHEDULED runs that were due before $1, and not changed since, that nobody can take, or that
-- nobody takes: they wait in a queue that somebody has polled since $2, of a pool whose workers have
-- nothing to do. By when they were due and their ids, after $3 and $4.
WITH idle_queue AS MATERIALIZED (
    SELECT q.id FROM work_queue q JOIN work_pool p ON p.id = q.work_pool_id
    WHERE q.last_polled > $2 AND NOT q.is_paused AND NOT p.is_paused AND q.filter IS NULL
        AND EXISTS (SELECT FROM worker w WHERE w.work_pool_id = p.id AND w.status = 'ONLINE')
        AND NOT EXISTS (
            SELECT FROM work_queue o JOIN flow_run b ON b.work_queue_id = o.id
            WHERE o.work_pool_id = p.id AND b.state_type IN ('PENDING', 'RUNNING')
        )
)
SELECT r.id, r.next_scheduled_start_time AS due
FROM flow_run r JOIN deployment d ON d.id = r.deployment_id
WHERE r.state_type = 'SCHEDULED' AND r.next_scheduled_start_time < $1 AND r.updated < $1
    AND (
        r.empirical_policy ->> 'retry_type' = 'in_process'
        OR (r.work_queue_id IS NULL AND d.work_queue_id IS NOT NULL)
        OR r.work_queue_id IN (SELECT id FROM idle_queue)
    )
    AND (r.next_scheduled_start_time, r.id) > ($3, $4)
ORDER BY r.next_scheduled_start_time, r.id
LIMIT $5

-- name: suspects
-- What is known of these runs ($1). A process is heard through its subflows too. The worker is the
-- one that gave the run its labels, which it does before it starts anything; `online_since` is when
-- the first of the pool's workers that are online was first seen.
WITH pool AS MATERIALIZED (
    SELECT p.id, p.name, p.is_paused, p.concurrency_limit,
        EXISTS (
            SELECT FROM work_queue o JOIN flow_run b ON b.work_queue_id = o.id
            WHERE o.work_pool_id = p.id AND b.state_type IN ('PENDING', 'RUNNING')
        ) AS at_work,
        (
            SELECT min(w.created) FROM worker w WHERE w.work_pool_id = p.id AND w.status = 'ONLINE'
        ) AS online_since
    FROM work_pool p
    WHERE p.id IN (
        SELECT q.work_pool_id FROM flow_run r JOIN work_queue q ON q.id = r.work_queue_id
        WHERE r.id = ANY ($1::uuid[])
    )
)
SELECT r.id, r.name, r.state_id, r.state_type, r.state_name, r.run_count, r.tags, r.labels,
    r.deployment_id, r.empirical_policy ->> 'retries' AS retries,
    r.empirical_policy ->> 'retry_delay' AS retry_delay,
    r.empirical_policy ->> 'retry_type' AS retry_type,
    r.work_queue_id, r.next_scheduled_start_time, r.infrastructure_pid,
    st.created AS entered,
    greatest(r.updated, s.last_heard, (
        WITH RECURSIVE inside AS (
            SELECT c.id FROM task_run t JOIN flow_run c ON c.parent_task_run_id = t.id
            WHERE t.flow_run_id = r.id AND c.deployment_id IS NULL
            UNION
            SELECT c.id FROM inside i JOIN task_run t ON t.flow_run_id = i.id
            JOIN flow_run c ON c.parent_task_run_id = t.id WHERE c.deployment_id IS NULL
        )
        SELECT greatest(max(c.updated), max(cs.last_heard)) FROM inside i
        JOIN flow_run c ON c.id = i.id LEFT JOIN flow_run_sign cs ON cs.flow_run_id = i.id
    )) AS last_heard,
    s.last_beat, s.gap, s.earlier_gap,
    d.tags AS deployment_tags, d.labels AS deployment_labels, d.work_queue_id AS deployment_queue,
    d.last_polled AS deployment_polled,
    w.name AS worker_name, w.status AS worker_status, w.last_heartbeat_time AS worker_heard,
    (
        SELECT count(*) FROM flow_run_death x WHERE x.flow_run_id = r.id AND x.outcome = 'rescheduled'
    ) AS put_back,
    q.name AS queue_name, p.name AS pool_name, q.last_polled AS queue_polled,
    q.is_paused OR p.is_paused OR coalesce(d.paused, false) AS is_paused,
    coalesce(q.concurrency_limit = 0, false) OR coalesce(p.concurrency_limit = 0, false)
        OR coalesce(c.active AND c.active_slots >= c."limit", false) AS is_full,
    p.at_work, p.online_since
FROM flow_run r
LEFT JOIN flow_run_state st ON st.id = r.state_id
LEFT JOIN flow_run_sign s ON s.flow_run_id = r.id
LEFT JOIN deployment d ON d.id = r.deployment_id
LEFT JOIN concurrency_limit c ON c.id = d.concurrency_limit_id
LEFT JOIN work_queue q ON q.id = r.work_queue_id
LEFT JOIN pool p ON p.id = q.work_pool_id
-- Each by itself: there may be many workers, of which a page of runs has few.
LEFT JOIN LATERAL (
    SELECT w.name, w.status, w.last_heartbeat_time FROM worker w
    WHERE w.work_pool_id = q.work_pool_id AND w.name = r.labels ->> 'prefect.worker.name'
    LIMIT 1
) w ON true
WHERE r.id = ANY ($1::uuid[])
ORDER BY r.id

-- name: unsettled_deaths
-- Oldest first, after the one of $1 and $2. `has_left_behind` is true also for task runs that stand
-- for runs of other processes.
SELECT d.state_id, d.flow_run_id, d.created, r.state_id AS current_state_id, EXISTS (
    SELECT FROM task_run t
    WHERE t.flow_run_id = d.flow_run_id AND t.state_type IN ('PENDING', 'RUNNING')
        AND t.updated <= d.created
) AS has_left_behind
FROM flow_run_death d JOIN flow_run r ON r.id = d.flow_run_id
WHERE d.settled IS NULL AND (d.created, d.state_id) > ($1, $2)
ORDER BY d.created, d.state_id
LIMIT $3

-- name: record_death
INSERT INTO flow_run_death (state_id, flow_run_id, created, settled, outcome, reason)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (state_id) DO NOTHING
RETURNING state_id

-- name: settle_death
UPDATE flow_run_death SET settled = $2, outcome = $3, reason = $4
WHERE state_id = $1 AND settled IS NULL
RETURNING state_id

-- name: make_ready_for_new_process
-- What the old process and its infrastructure left on the run goes; a queue that is gone is replaced
-- by the deployment's.
WITH forgotten AS (DELETE FROM flow_run_sign WHERE flow_run_id = $1)
UPDATE flow_run r SET
    awaits_new_process = true, infrastructure_pid = NULL,
    labels = r.labels - ARRAY['prefect.worker.name', 'prefect.worker.type'],
    empirical_policy = empirical_policy || '{"retry_type": "reschedule"}',
    work_queue_id = coalesce(r.work_queue_id, d.work_queue_id),
    work_queue_name = coalesce(r.work_queue_name, d.work_queue_name)
FROM deployment d
WHERE r.id = $1 AND d.id = r.deployment_id

-- name: offer_anew
-- Whoever asks next is offered the run as if for the first time.
DELETE FROM flow_run_offer WHERE flow_run_id = $1

-- name: left_behind
-- What a dead run's process had in hand: its task runs and the subflows inside it, but not the task
-- runs that stand for runs of other processes, nor what was touched after $2: it is of a later process.
SELECT t.id, false AS is_flow_run
FROM task_run t
WHERE t.flow_run_id = $1 AND t.state_type IN ('PENDING', 'RUNNING') AND t.updated <= $2
    AND NOT EXISTS (SELECT FROM flow_run c WHERE c.parent_task_run_id = t.id)
UNION ALL
SELECT c.id, true
FROM task_run t JOIN flow_run c ON c.parent_task_run_id = t.id
WHERE t.flow_run_id = $1 AND c.deployment_id IS NULL AND c.updated <= $2
    AND c.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED')
LIMIT $3
