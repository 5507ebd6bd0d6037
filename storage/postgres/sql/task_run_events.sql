-- name: known_task_run_ids
-- Two halves, because the index on the key serves = and IS NULL, but not IS NOT DISTINCT FROM.
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
        AS wanted (flow_run_id, task_key, dynamic_key)
)
SELECT task_run.id, task_run.flow_run_id, task_run.task_key, task_run.dynamic_key
FROM wanted
JOIN task_run USING (flow_run_id, task_key, dynamic_key)
UNION ALL
SELECT task_run.id, task_run.flow_run_id, task_run.task_key, task_run.dynamic_key
FROM wanted
JOIN task_run USING (task_key, dynamic_key)
WHERE wanted.flow_run_id IS NULL AND task_run.flow_run_id IS NULL;

-- name: upsert_observed_task_runs
-- Ordered by id, so that two recorders never wait for each other in a ring. A row moves only
-- forward: the later (state_timestamp, state_id) wins whichever comes first.
INSERT INTO task_run (
    id, created, updated, name, flow_run_id, task_key, dynamic_key, cache_key, cache_expiration,
    task_version, flow_run_run_count, empirical_policy, task_inputs, tags, labels, state_id,
    state_type, state_name, state_timestamp, run_count, expected_start_time,
    next_scheduled_start_time, start_time, end_time, total_run_time
)
SELECT
    new.id, new.received, new.received, new.name, new.flow_run_id, new.task_key, new.dynamic_key,
    new.cache_key, new.cache_expiration, new.task_version, new.flow_run_run_count,
    new.empirical_policy, new.task_inputs,
    ARRAY(SELECT jsonb_array_elements_text(new.tags)), new.labels, new.state_id, new.state_type,
    new.state_name, new.state_timestamp, new.run_count, new.expected_start_time,
    new.next_scheduled_start_time, new.start_time, new.end_time, new.total_run_time
FROM unnest(
    $1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[],
    $8::timestamptz[], $9::text[], $10::integer[], $11::jsonb[], $12::jsonb[], $13::jsonb[],
    $14::jsonb[], $15::uuid[], $16::text[], $17::text[], $18::timestamptz[], $19::integer[],
    $20::timestamptz[], $21::timestamptz[], $22::timestamptz[], $23::timestamptz[],
    $24::double precision[]
) AS new (
    id, received, name, flow_run_id, task_key, dynamic_key, cache_key, cache_expiration,
    task_version, flow_run_run_count, empirical_policy, task_inputs, tags, labels, state_id,
    state_type, state_name, state_timestamp, run_count, expected_start_time,
    next_scheduled_start_time, start_time, end_time, total_run_time
)
ORDER BY new.id
ON CONFLICT (id) DO UPDATE SET
    updated = excluded.updated,
    name = excluded.name,
    cache_key = excluded.cache_key,
    cache_expiration = excluded.cache_expiration,
    task_version = excluded.task_version,
    flow_run_run_count = excluded.flow_run_run_count,
    empirical_policy = excluded.empirical_policy,
    task_inputs = excluded.task_inputs,
    tags = excluded.tags,
    labels = excluded.labels,
    state_id = excluded.state_id,
    state_type = excluded.state_type,
    state_name = excluded.state_name,
    state_timestamp = excluded.state_timestamp,
    run_count = excluded.run_count,
    expected_start_time = excluded.expected_start_time,
    next_scheduled_start_time = excluded.next_scheduled_start_time,
    start_time = excluded.start_time,
    end_time = excluded.end_time,
    total_run_time = excluded.total_run_time
WHERE task_run.state_timestamp IS NULL
    OR (task_run.state_timestamp, task_run.state_id) < (excluded.state_timestamp, excluded.state_id);

-- name: insert_observed_states
INSERT INTO task_run_state (
    id, task_run_id, created, type, name, timestamp, message, data, state_details
)
SELECT new.id, new.task_run_id, now(), new.type, new.name, new.timestamp, new.message, new.data,
    new.state_details
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::jsonb[],
    $8::jsonb[]
) AS new (id, task_run_id, type, name, timestamp, message, data, state_details)
ORDER BY new.id
ON CONFLICT (id) DO NOTHING;
