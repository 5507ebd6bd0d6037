-- name: read_retention_rules
SELECT rules FROM log_retention

-- name: write_retention_rules
INSERT INTO log_retention (rules) VALUES ($1)
ON CONFLICT (only_one) DO UPDATE SET rules = excluded.rules, updated = now()

-- name: aged_runs
-- Runs with ids above `$2` whose last line in S3 is from before `$1`, that are neither deleted nor held
-- and have no hot lines. Bytes are shares of the segments'.
WITH old AS (
    SELECT DISTINCT part.flow_run_id
    FROM log_segment AS segment
    JOIN log_segment_run AS part ON part.segment_id = segment.id
    WHERE segment.state = 'published' AND segment.min_timestamp < $1 AND part.max_timestamp < $1
        AND part.flow_run_id > $2
        AND NOT EXISTS (SELECT FROM log_tombstone AS dead WHERE dead.flow_run_id = part.flow_run_id)
        AND NOT EXISTS (SELECT FROM log_hold AS held WHERE held.flow_run_id = part.flow_run_id)
    ORDER BY part.flow_run_id
    LIMIT $3
), aged AS (
    SELECT old.flow_run_id AS id, max(part.max_timestamp) AS last, sum(part.rows)::bigint AS rows,
        sum(part.rows * segment.bytes / segment.rows)::bigint AS bytes,
        min(part.min_level) AS least_level
    FROM old
    JOIN log_segment_run AS part USING (flow_run_id)
    JOIN log_segment AS segment ON segment.id = part.segment_id AND segment.state = 'published'
    GROUP BY old.flow_run_id
)
SELECT aged.id, aged.last, aged.rows, aged.bytes, aged.least_level,
    coalesce(run.state_type NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED'), false) AS active,
    flow.name AS flow, deployment.name AS deployment, coalesce(run.tags, '{}') AS tags,
    aged.last < $1 AND NOT EXISTS (SELECT FROM log_batch WHERE aged.id = ANY (run_ids)) AS settled
FROM aged
LEFT JOIN flow_run AS run ON run.id = aged.id
LEFT JOIN flow ON flow.id = run.flow_id
LEFT JOIN deployment ON deployment.id = run.deployment_id
ORDER BY aged.id

-- name: lock_holds
-- A hold that is set meanwhile waits, and is refused when it finds the run's logs deleted.
LOCK TABLE log_hold IN SHARE MODE

-- name: expire_runs
INSERT INTO log_tombstone (flow_run_id)
SELECT id FROM unnest($1::uuid[]) AS id
WHERE NOT EXISTS (SELECT FROM log_hold AS held WHERE held.flow_run_id = id)
ON CONFLICT DO NOTHING
RETURNING flow_run_id

-- name: expire_levels
INSERT INTO log_expiry (flow_run_id, below_level)
SELECT id, level FROM unnest($1::uuid[], $2::integer[]) AS part (id, level)
WHERE NOT EXISTS (SELECT FROM log_hold AS held WHERE held.flow_run_id = id)
ON CONFLICT (flow_run_id) DO UPDATE SET below_level = excluded.below_level

-- name: expire_runless
INSERT INTO log_expiry (flow_run_id, before) VALUES ('00000000-0000-0000-0000-000000000000', $1)
ON CONFLICT (flow_run_id) DO UPDATE SET before = excluded.before

-- name: prune_expiries
-- Those that nothing is left to do for.
DELETE FROM log_expiry AS expiry
WHERE NOT EXISTS (
    SELECT FROM log_segment_run AS part
    JOIN log_segment AS segment ON segment.id = part.segment_id AND segment.state <> 'marked'
    WHERE part.flow_run_id = expiry.flow_run_id
        AND (part.min_level < expiry.below_level OR part.max_timestamp < expiry.before)
)

-- name: hold_run
-- A run whose logs were deleted gives no row.
WITH released AS (
    DELETE FROM log_expiry WHERE flow_run_id = $1
)
INSERT INTO log_hold (flow_run_id, reason)
SELECT $1, $2
WHERE NOT EXISTS (SELECT FROM log_tombstone WHERE flow_run_id = $1)
ON CONFLICT (flow_run_id) DO UPDATE SET reason = excluded.reason
RETURNING flow_run_id, reason, created

-- name: release_run
DELETE FROM log_hold WHERE flow_run_id = $1 RETURNING flow_run_id

-- name: holds
SELECT flow_run_id, reason, created FROM log_hold
WHERE flow_run_id > $1
ORDER BY flow_run_id
LIMIT $2

-- name: held_among
-- Held runs among the runs $1 and the runs of the flows $2, by id.
SELECT r.id, r.name
FROM log_hold h JOIN flow_run r ON r.id = h.flow_run_id
WHERE r.id = ANY ($1::uuid[]) OR r.flow_id = ANY ($2::uuid[])
ORDER BY r.id
LIMIT $3
