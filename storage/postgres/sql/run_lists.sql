-- name: select_recent_runs_of_flows
-- A flow at a time: the last runs of all together would be those of the busiest.
SELECT wanted.id AS owner_id, r.*
FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    (
        SELECT
            false AS next, id, name, state_type, state_name, state_timestamp, expected_start_time,
            next_scheduled_start_time, start_time, end_time, total_run_time
        FROM flow_run
        WHERE flow_id = wanted.id AND state_type IS DISTINCT FROM 'SCHEDULED'
        ORDER BY expected_start_time DESC NULLS LAST, flow_run.id DESC
        LIMIT $2
    )
    UNION ALL
    (
        SELECT
            true AS next, id, name, state_type, state_name, state_timestamp, expected_start_time,
            next_scheduled_start_time, start_time, end_time, total_run_time
        FROM flow_run
        WHERE flow_id = wanted.id AND state_type = 'SCHEDULED'
            AND next_scheduled_start_time IS NOT NULL
        ORDER BY next_scheduled_start_time, flow_run.id
        LIMIT 1
    )
) r

-- name: select_recent_runs_of_deployments
SELECT wanted.id AS owner_id, r.*
FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    (
        SELECT
            false AS next, id, name, state_type, state_name, state_timestamp, expected_start_time,
            next_scheduled_start_time, start_time, end_time, total_run_time
        FROM flow_run
        WHERE deployment_id = wanted.id AND state_type IS DISTINCT FROM 'SCHEDULED'
        ORDER BY expected_start_time DESC NULLS LAST, flow_run.id DESC
        LIMIT $2
    )
    UNION ALL
    (
        SELECT
            true AS next, id, name, state_type, state_name, state_timestamp, expected_start_time,
            next_scheduled_start_time, start_time, end_time, total_run_time
        FROM flow_run
        WHERE deployment_id = wanted.id AND state_type = 'SCHEDULED'
            AND next_scheduled_start_time IS NOT NULL
        ORDER BY next_scheduled_start_time, flow_run.id
        LIMIT 1
    )
) r

-- name: select_run_tags
-- No index lists the tags there are, and a million runs are too many to look through. So: those that
-- many runs bear, as the statistics of the table say, those that deployments hand on to their runs, and
-- those of the newest runs.
SELECT DISTINCT tag FROM (
    SELECT unnest(most_common_elems::text::text[]) AS tag FROM pg_stats
    WHERE schemaname = current_schema AND tablename = 'flow_run' AND attname = 'tags'
    UNION ALL
    SELECT unnest(tags) FROM deployment
    UNION ALL
    SELECT unnest(tags) FROM (
        SELECT tags FROM flow_run ORDER BY expected_start_time DESC, id DESC LIMIT $2
    ) AS newest
) AS known
WHERE strpos(lower(tag), lower($1)) > 0
ORDER BY tag
LIMIT $3
