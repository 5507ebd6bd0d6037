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

-- name: suspects
-- Runs that live in a process of their own ($1: state type) and were not heard since $2. The caller
-- says which of them: it goes on after the last line. A process is heard through its subflows too.
-- The worker is the one that last said it submitted the run.
SELECT r.id, r.name, r.state_id, r.state_type, r.state_name, r.run_count, r.tags, r.labels,
    r.deployment_id, r.empirical_policy ->> 'retries' AS retries,
    r.empirical_policy ->> 'retry_delay' AS retry_delay,
    r.empirical_policy ->> 'retry_type' AS retry_type,
    r.work_queue_id, r.awaits_new_process, r.next_scheduled_start_time,
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
    w.name AS worker_name, w.status AS worker_status, w.last_heartbeat_time AS worker_heard
FROM flow_run r
LEFT JOIN flow_run_state st ON st.id = r.state_id
LEFT JOIN flow_run_sign s ON s.flow_run_id = r.id
LEFT JOIN deployment d ON d.id = r.deployment_id
LEFT JOIN LATERAL (
    SELECT e.resource ->> 'prefect.resource.name' AS name, e.related FROM event e
    WHERE e.event = 'prefect.worker.submitted-flow-run'
        AND jsonb_path_query_array(e.related, '$[*]."prefect.resource.id"')
            @> to_jsonb('prefect.flow-run.' || r.id)
    ORDER BY e.occurred DESC LIMIT 1
) submitted ON true
LEFT JOIN worker w ON w.name = submitted.name
    AND submitted.related @> jsonb_build_array(
        jsonb_build_object('prefect.resource.id', 'prefect.work-pool.' || w.work_pool_id))
WHERE r.state_type = $1
    AND (r.parent_task_run_id IS NULL OR r.deployment_id IS NOT NULL)
    AND (r.state_type <> 'SCHEDULED' OR (r.next_scheduled_start_time < $2 AND (
        r.empirical_policy ->> 'retry_type' = 'in_process'
        OR (r.work_queue_id IS NULL AND d.work_queue_id IS NOT NULL))))
    AND r.updated < $2 AND coalesce(s.last_heard < $2, true)

-- name: unsettled_deaths
SELECT d.state_id, d.flow_run_id, r.state_id AS current_state_id
FROM flow_run_death d JOIN flow_run r ON r.id = d.flow_run_id
WHERE d.settled IS NULL
ORDER BY d.created
LIMIT $1

-- name: record_death
INSERT INTO flow_run_death (state_id, flow_run_id, created, settled, outcome, reason)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (state_id) DO NOTHING
RETURNING state_id

-- name: settle_death
UPDATE flow_run_death SET settled = $2, outcome = $3, reason = $4
WHERE state_id = $1 AND settled IS NULL
RETURNING state_id

-- name: count_resurrections
SELECT count(*) FROM flow_run_death WHERE flow_run_id = $1 AND outcome = 'rescheduled'

-- name: make_ready_for_new_process
-- What the old process and its infrastructure left on the run goes; a queue that is gone is replaced
-- by the deployment's.
WITH forgotten AS (DELETE FROM flow_run_sign WHERE flow_run_id = $1)
UPDATE flow_run r SET
    awaits_new_process = true, infrastructure_pid = NULL,
    empirical_policy = empirical_policy || '{"retry_type": "reschedule"}',
    work_queue_id = coalesce(r.work_queue_id, d.work_queue_id),
    work_queue_name = coalesce(r.work_queue_name, d.work_queue_name)
FROM deployment d
WHERE r.id = $1 AND d.id = r.deployment_id

-- name: left_behind
-- What a dead run's process had in hand: its task runs and the subflows inside it, but not the task
-- runs that stand for runs of other processes.
SELECT t.id, false AS is_flow_run
FROM task_run t
WHERE t.flow_run_id = $1 AND t.state_type IN ('PENDING', 'RUNNING')
    AND NOT EXISTS (SELECT FROM flow_run c WHERE c.parent_task_run_id = t.id)
UNION ALL
SELECT c.id, true
FROM task_run t JOIN flow_run c ON c.parent_task_run_id = t.id
WHERE t.flow_run_id = $1 AND c.deployment_id IS NULL
    AND c.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED')
LIMIT $2
