-- name: claim_for_archive
-- The final segments of one day, from one snapshot, so that no line is in two of them or between two of
-- them. Each is claimed before anything names it: the sweep leaves its object alone from now on.
WITH final AS (
    SELECT id, key, rows, bytes, min_timestamp, max_timestamp, min_run_id, max_run_id
    FROM log_segment
    WHERE state = 'published' AND tier = 2
        AND (min_timestamp AT TIME ZONE 'UTC')::date = (max_timestamp AT TIME ZONE 'UTC')::date
), claimed AS (
    UPDATE log_segment AS segment SET archived = now()
    FROM final WHERE segment.id = final.id AND segment.archived IS NULL
), begun AS (
    INSERT INTO archive_begun (since) SELECT now() FROM final LIMIT 1 ON CONFLICT DO NOTHING
)
SELECT key, rows, bytes, min_timestamp, max_timestamp, min_run_id, max_run_id FROM final

-- name: held_for_archive
-- Replaced segments that some snapshot may still name.
SELECT id, key FROM log_segment
WHERE state = 'marked' AND archived IS NOT NULL AND id > $1
ORDER BY id
LIMIT $2

-- name: release_from_archive
UPDATE log_segment SET archived = NULL WHERE id = ANY ($1::bigint[]) AND state = 'marked'

-- name: archive_backlog
-- What the archive is about to have, and what it still keeps from deletion.
SELECT
    count(*) FILTER (WHERE final) AS final,
    count(*) FILTER (WHERE final AND archived IS NULL AND NOT spanning) AS waiting,
    min(published) FILTER (WHERE final AND archived IS NULL AND NOT spanning) AS waiting_since,
    count(*) FILTER (WHERE final AND spanning) AS spanning,
    count(*) FILTER (WHERE state = 'marked' AND archived IS NOT NULL) AS held,
    EXISTS (SELECT FROM archive_begun) AS begun
FROM (
    SELECT state, archived, published, state = 'published' AND tier = 2 AS final,
        (min_timestamp AT TIME ZONE 'UTC')::date <> (max_timestamp AT TIME ZONE 'UTC')::date AS spanning
    FROM log_segment
) AS segment

-- name: archived_run_days
-- A fingerprint for each day (UTC) of what the table `runs` shows of its runs: it does not depend on
-- their order.
SELECT (run.created AT TIME ZONE 'UTC')::date AS day, count(*) AS runs,
    sum(hashtextextended(ROW(
        run.id, run.name, run.flow_id, flow.name, run.deployment_id, deployment.name,
        run.state_type, run.state_name, run.tags, run.created, run.expected_start_time,
        run.start_time, run.end_time, run.total_run_time, run.run_count, run.work_queue_name,
        run.parent_task_run_id
    )::text, 0)) AS hash
FROM flow_run AS run
JOIN flow ON flow.id = run.flow_id
LEFT JOIN deployment ON deployment.id = run.deployment_id
GROUP BY day

-- name: archived_runs
-- What the table `runs` shows of the runs of these days, in order of their days.
SELECT run.id, run.name, run.flow_id, flow.name AS flow_name, run.deployment_id,
    deployment.name AS deployment_name, run.state_type, run.state_name, run.tags, run.created,
    run.expected_start_time, run.start_time, run.end_time, run.total_run_time, run.run_count,
    run.work_queue_name, run.parent_task_run_id
FROM flow_run AS run
JOIN flow ON flow.id = run.flow_id
LEFT JOIN deployment ON deployment.id = run.deployment_id
WHERE (run.created AT TIME ZONE 'UTC')::date = ANY ($1::date[])
ORDER BY run.created, run.id
