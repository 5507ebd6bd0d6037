-- name: stage_segment
-- Written before the upload, so that an object without this row cannot exist.
-- The hour is the current one unless it is given.
INSERT INTO log_segment (
    key, state, tier, format, rows, bytes, sha256,
    min_timestamp, max_timestamp, min_run_id, max_run_id, hour, cleaned, footer_crc32
)
VALUES (
    $1, 'staged', $2, $3, $4, $5, $6, $7, $8, $9, $10,
    coalesce($11, date_trunc('hour', now(), 'UTC')), $12, $13
)
RETURNING id

-- name: publish_segment
-- Only a staged segment: one that the sweeper marked in the meantime must not come back.
UPDATE log_segment
SET state = 'published', published = now()
WHERE id = $1 AND state = 'staged'

-- name: insert_segment_runs
INSERT INTO log_segment_run (
    flow_run_id, segment_id, first_row, rows, errors,
    min_timestamp, max_timestamp, min_level, max_level
)
SELECT run, $1, first_row, rows, errors, first, last, min_level, max_level
FROM unnest(
    $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[],
    $6::timestamptz[], $7::timestamptz[], $8::integer[], $9::integer[]
) AS part (run, first_row, rows, errors, first, last, min_level, max_level)

-- name: mark_stale_staged
-- Nobody ever read these, so they need no grace: they count as marked when they were staged.
UPDATE log_segment
SET state = 'marked', marked = created
WHERE state = 'staged' AND created < now() - make_interval(secs => $1)

-- name: marked_segments
-- Those that no reader can have in its plan any more, and no snapshot of the archive, or for `$3` seconds.
SELECT id, key FROM log_segment
WHERE state = 'marked' AND marked < now() - make_interval(secs => $2)
    AND (archived IS NULL OR marked < now() - make_interval(secs => $3))
ORDER BY id
LIMIT $1

-- name: mark_segments
UPDATE log_segment
SET state = 'marked', marked = now()
WHERE id = ANY ($1::bigint[]) AND state = 'published'

-- name: segments_to_merge
-- Those below the final tier, by the hour of their offload.
SELECT id, key, tier, rows, bytes, sha256, hour, min_timestamp, max_timestamp
FROM log_segment
WHERE state = 'published' AND tier < 2 AND damaged IS NULL
ORDER BY hour, id
LIMIT $1

-- name: segment_to_split
-- A final one with lines of several days.
SELECT id, key, tier, rows, bytes, sha256, hour, min_timestamp, max_timestamp
FROM log_segment
WHERE state = 'published' AND tier = 2 AND damaged IS NULL
    AND (min_timestamp AT TIME ZONE 'UTC')::date <> (max_timestamp AT TIME ZONE 'UTC')::date
ORDER BY id
LIMIT 1

-- name: segment_to_clean
-- One of which a tenth or more is known to be unwanted, or that holds lines deleted or expired `$1`
-- seconds ago or before; the longest deleted first. How many lines a deleted task run has, or a run below
-- a level, is not known.
SELECT segment.id, segment.key, segment.tier, segment.rows, segment.bytes, segment.sha256, segment.hour,
    segment.min_timestamp, segment.max_timestamp, found.deleted_rows = segment.rows AS all_deleted
FROM (
    SELECT part.segment_id, min(dead.created) AS since,
        sum(part.rows) FILTER (WHERE dead.whole) AS rows,
        sum(part.rows) FILTER (WHERE dead.whole AND dead.below_level IS NULL AND dead.before IS NULL)
            AS deleted_rows
    FROM (
        SELECT flow_run_id, created, true AS whole, false AS one_task,
            NULL::integer AS below_level, NULL::timestamptz AS before
        FROM log_tombstone
        UNION ALL
        SELECT coalesce(flow_run_id, '00000000-0000-0000-0000-000000000000'), created, false, true,
            NULL, NULL
        FROM log_task_tombstone
        UNION ALL
        SELECT flow_run_id, created, before IS NOT NULL, false, below_level, before
        FROM log_expiry
    ) AS dead
    JOIN log_segment_run AS part USING (flow_run_id)
    JOIN log_segment AS held ON held.id = part.segment_id
    WHERE held.state = 'published' AND held.damaged IS NULL
        AND (NOT dead.one_task OR held.cleaned IS NULL OR dead.created >= held.cleaned)
        AND (dead.below_level IS NULL OR part.min_level < dead.below_level)
        AND (dead.before IS NULL OR part.max_timestamp < dead.before)
    GROUP BY part.segment_id
) AS found
JOIN log_segment AS segment ON segment.id = found.segment_id
WHERE found.since < now() - make_interval(secs => $1) OR found.rows * 10 >= segment.rows
ORDER BY found.since, segment.id
LIMIT 1

-- name: expiries_in_segments
SELECT expiry.flow_run_id, expiry.below_level, expiry.before
FROM (SELECT DISTINCT flow_run_id FROM log_segment_run WHERE segment_id = ANY ($1::bigint[])) AS held
JOIN log_expiry AS expiry USING (flow_run_id)

-- name: tombstones_in_segments
-- The deleted runs and task runs that these segments hold, and the moment of this reading.
SELECT now() AS read_at, dead.flow_run_id, NULL::uuid AS task_run_id
FROM (SELECT DISTINCT flow_run_id FROM log_segment_run WHERE segment_id = ANY ($1::bigint[])) AS held
JOIN log_tombstone AS dead USING (flow_run_id)
UNION ALL
SELECT now(), NULL, dead.task_run_id
FROM (SELECT DISTINCT flow_run_id FROM log_segment_run WHERE segment_id = ANY ($1::bigint[])) AS held
JOIN log_task_tombstone AS dead
    ON coalesce(dead.flow_run_id, '00000000-0000-0000-0000-000000000000') = held.flow_run_id
UNION
SELECT now(), NULL, task_run_id FROM log_task_tombstone WHERE located IS NULL
UNION ALL
SELECT now(), NULL, NULL

-- name: prune_tombstones
-- Long after the deletion, when nothing holds their lines any more.
WITH runs AS (
    DELETE FROM log_tombstone AS dead
    WHERE created < now() - make_interval(secs => $1)
        AND NOT EXISTS (SELECT FROM log_segment_run AS part WHERE part.flow_run_id = dead.flow_run_id)
        AND NOT EXISTS (SELECT FROM log_batch WHERE dead.flow_run_id = ANY (run_ids))
    RETURNING 1
), tasks AS (
    DELETE FROM log_task_tombstone AS dead
    WHERE created < now() - make_interval(secs => $1) AND located IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM log_segment_run AS part
            JOIN log_segment AS held ON held.id = part.segment_id
            WHERE part.flow_run_id = coalesce(
                dead.flow_run_id, '00000000-0000-0000-0000-000000000000'
            ) AND held.state <> 'marked'
                AND (held.cleaned IS NULL OR dead.created >= held.cleaned)
        )
        AND NOT EXISTS (
            SELECT FROM log_batch
            WHERE coalesce(dead.flow_run_id, '00000000-0000-0000-0000-000000000000') = ANY (run_ids)
        )
    RETURNING 1
)
SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM tasks)

-- name: unlocated_tasks
-- Deleted `$2` seconds ago or before.
SELECT DISTINCT task_run_id
FROM log_task_tombstone
WHERE located IS NULL AND created <= now() - make_interval(secs => $2)
LIMIT $1

-- name: locate_tasks
-- `$1` are all that were looked for, `$2` those that have lines, each under the flow run in `$3`.
WITH elsewhere AS (
    INSERT INTO log_task_tombstone (task_run_id, flow_run_id, located)
    SELECT task, run, now() FROM unnest($2::uuid[], $3::uuid[]) AS part (task, run)
    ON CONFLICT DO NOTHING
)
UPDATE log_task_tombstone SET located = now() WHERE task_run_id = ANY ($1::uuid[]) AND located IS NULL

-- name: keep_as_they_are
UPDATE log_segment SET tier = $2 WHERE id = ANY ($1::bigint[]) AND state = 'published'

-- name: all_segments
-- What the manifest says of each object, its runs counted together.
SELECT segment.id, segment.key, segment.state, segment.rows, segment.bytes, segment.sha256,
    segment.footer_crc32,
    segment.min_timestamp, segment.max_timestamp, segment.damaged IS NOT NULL AS known_damaged,
    coalesce(held.rows, 0)::bigint AS run_rows, coalesce(held.runs, 0)::bigint AS runs
FROM log_segment AS segment
LEFT JOIN (
    SELECT segment_id, sum(rows) AS rows, count(*) AS runs FROM log_segment_run GROUP BY segment_id
) AS held ON held.segment_id = segment.id
WHERE segment.id > $1
ORDER BY segment.id
LIMIT $2

-- name: known_keys
SELECT key, state FROM log_segment WHERE key = ANY ($1::text[])

-- name: delete_segment_runs
DELETE FROM log_segment_run WHERE segment_id = $1

-- name: mark_whole
UPDATE log_segment SET damaged = NULL WHERE key = $1

-- name: mark_damaged
UPDATE log_segment SET damaged = now() WHERE key = $1 AND damaged IS NULL

-- name: forget_segments
DELETE FROM log_segment WHERE id = ANY ($1::bigint[]) AND state = 'marked'

-- name: run_sources
-- What may hold lines of the runs `$1`, from one snapshot: hot batches and published segments.
-- A deleted run has a tombstone and no sources. `deleted_tasks` are the task runs of which these runs may have
-- lines that are not to be shown, the same in each row, null in the usual case that there are none.
WITH wanted AS (
    SELECT run FROM unnest($1::uuid[]) AS run
    WHERE NOT EXISTS (SELECT FROM log_tombstone WHERE flow_run_id = run)
), deleted AS (
    SELECT array_agg(DISTINCT task_run_id) AS tasks
    FROM log_task_tombstone
    WHERE flow_run_id = ANY ($1::uuid[]) OR located IS NULL
)
SELECT
    batch.id, NULL AS key, NULL::bigint AS object_bytes, NULL::bigint AS footer_crc32,
    part.run AS flow_run_id,
    0::bigint AS first_row, part.rows::bigint AS rows,
    part.first AS min_timestamp, part.last AS max_timestamp, part.min_level, part.max_level,
    (SELECT tasks FROM deleted) AS deleted_tasks
FROM log_batch AS batch,
    unnest(
        batch.run_ids, batch.run_rows, batch.run_min, batch.run_max,
        batch.run_min_level, batch.run_max_level
    ) AS part (run, rows, first, last, min_level, max_level)
WHERE part.run IN (SELECT run FROM wanted)
    AND part.last >= $2 AND part.first <= $3 AND part.max_level >= $4 AND part.min_level <= $5
UNION ALL
SELECT
    segment.id, segment.key, segment.bytes, segment.footer_crc32, part.flow_run_id,
    part.first_row, part.rows, part.min_timestamp, part.max_timestamp,
    part.min_level, part.max_level, (SELECT tasks FROM deleted)
FROM log_segment_run AS part
JOIN log_segment AS segment ON segment.id = part.segment_id AND segment.state = 'published'
WHERE part.flow_run_id IN (SELECT run FROM wanted)
    AND part.max_timestamp >= $2 AND part.min_timestamp <= $3
    AND part.max_level >= $4 AND part.min_level <= $5

-- name: all_sources
-- The same for every run: whole batches and whole segments. Of final segments nearly all have lines of one
-- day (UTC), so that their last time says well enough when their first is: then those of an old range are
-- found by an index, and newer ones are not looked at. Others are few, and have indexes of their own.
SELECT
    id, NULL AS key, NULL::bigint AS object_bytes, NULL::bigint AS footer_crc32,
    NULL::uuid AS flow_run_id,
    0::bigint AS first_row, rows::bigint AS rows, min_timestamp, max_timestamp,
    NULL::integer AS min_level, NULL::integer AS max_level
FROM log_batch
WHERE max_timestamp >= $1 AND min_timestamp <= $2
UNION ALL
SELECT id, key, bytes, footer_crc32, NULL, 0, rows, min_timestamp, max_timestamp, NULL, NULL
FROM log_segment
WHERE state = 'published' AND tier = 2
    AND (min_timestamp AT TIME ZONE 'UTC')::date = (max_timestamp AT TIME ZONE 'UTC')::date
    AND max_timestamp >= $1 AND max_timestamp <= $2::timestamptz + interval '1 day' AND min_timestamp <= $2
UNION ALL
SELECT id, key, bytes, footer_crc32, NULL, 0, rows, min_timestamp, max_timestamp, NULL, NULL
FROM log_segment
WHERE state = 'published' AND tier = 2
    AND (min_timestamp AT TIME ZONE 'UTC')::date <> (max_timestamp AT TIME ZONE 'UTC')::date
    -- Not by the index of times, which has all segments.
    AND max_timestamp + interval '0' >= $1 AND min_timestamp <= $2
UNION ALL
SELECT id, key, bytes, footer_crc32, NULL, 0, rows, min_timestamp, max_timestamp, NULL, NULL
FROM log_segment
WHERE state = 'published' AND tier < 2 AND max_timestamp >= $1 AND min_timestamp <= $2

-- name: run_parts
-- Where in these segments each run has its lines, by rows; 48 bytes a run, since there may be many: the run,
-- its first row and how many, its first and last time in microseconds since 2000.
SELECT part.segment_id, string_agg(
    uuid_send(part.flow_run_id) || int8send(part.first_row) || int8send(part.rows)
        || timestamptz_send(part.min_timestamp) || timestamptz_send(part.max_timestamp),
    ''::bytea ORDER BY part.first_row
) AS parts
FROM log_segment_run AS part
WHERE part.segment_id = ANY ($1::bigint[])
GROUP BY part.segment_id

-- name: owned_run_parts
-- The same of runs of any of these flows and any of these deployments; null is any at all.
SELECT part.segment_id, string_agg(
    uuid_send(part.flow_run_id) || int8send(part.first_row) || int8send(part.rows)
        || timestamptz_send(part.min_timestamp) || timestamptz_send(part.max_timestamp),
    ''::bytea ORDER BY part.first_row
) AS parts
FROM log_segment_run AS part
JOIN flow_run AS run ON run.id = part.flow_run_id
WHERE part.segment_id = ANY ($1::bigint[])
    AND ($2::uuid[] IS NULL OR run.flow_id = ANY ($2))
    AND ($3::uuid[] IS NULL OR run.deployment_id = ANY ($3))
GROUP BY part.segment_id

-- name: tombstones
-- What no reader may show: flow runs, and task runs of others.
SELECT flow_run_id, NULL::uuid AS task_run_id FROM log_tombstone
UNION ALL
SELECT DISTINCT NULL::uuid, task_run_id FROM log_task_tombstone

-- name: deleted_parts
-- Where in these segments deleted runs, or runs of deleted task runs, have their lines.
SELECT part.segment_id, part.first_row::bigint AS first_row, part.rows::bigint AS rows
FROM log_tombstone AS dead
JOIN log_segment_run AS part USING (flow_run_id)
WHERE part.segment_id = ANY ($1::bigint[])
UNION
SELECT part.segment_id, part.first_row, part.rows
FROM log_task_tombstone AS dead
JOIN log_segment_run AS part
    ON part.flow_run_id = coalesce(dead.flow_run_id, '00000000-0000-0000-0000-000000000000')
WHERE part.segment_id = ANY ($1::bigint[])
UNION
-- Any run may have lines of these.
SELECT part.segment_id, part.first_row, part.rows
FROM log_segment_run AS part
WHERE part.segment_id = ANY ($1::bigint[])
    AND EXISTS (SELECT FROM log_task_tombstone WHERE located IS NULL)

-- name: tombstones_of_batch
-- The same of the runs in one batch.
SELECT dead.flow_run_id, NULL::uuid AS task_run_id
FROM log_batch AS batch
JOIN log_tombstone AS dead ON dead.flow_run_id = ANY (batch.run_ids)
WHERE batch.id = $1
UNION ALL
SELECT NULL, dead.task_run_id
FROM log_batch AS batch
JOIN log_task_tombstone AS dead
    ON coalesce(dead.flow_run_id, '00000000-0000-0000-0000-000000000000') = ANY (batch.run_ids)
        OR dead.located IS NULL
WHERE batch.id = $1

-- name: segment_groups
SELECT state, tier AS level, count(*) AS parts, sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes,
    min(min_timestamp) AS oldest, max(max_timestamp) AS newest
FROM log_segment
GROUP BY state, tier
ORDER BY array_position('{published,staged,marked}', state), tier

-- name: archive_partitions
-- Newest first. `$1` is hour or day.
SELECT date_trunc($1, hour, 'UTC') AS start, sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes,
    count(*) AS segments, count(*) FILTER (WHERE tier >= $4) AS final_segments
FROM log_segment
WHERE state = 'published'
    AND ($2::timestamptz IS NULL OR date_trunc($1, hour, 'UTC') >= date_trunc($1, $2, 'UTC'))
    AND ($3::timestamptz IS NULL OR hour < $3)
GROUP BY 1
ORDER BY 1 DESC
LIMIT $5

-- name: segment_facts
SELECT id, key, tier, format, rows, bytes FROM log_segment WHERE id = $1

-- name: tier_status
-- PostgreSQL bytes of the hot tier are its payloads'.
SELECT 'hot' AS tier, count(*) AS parts, coalesce(sum(rows), 0)::bigint AS rows,
    coalesce(sum(bytes), 0)::bigint AS bytes, min(min_timestamp) AS oldest, max(max_timestamp) AS newest
FROM log_batch
UNION ALL
SELECT 'segments', count(*), coalesce(sum(rows), 0)::bigint,
    coalesce(sum(bytes), 0)::bigint, min(min_timestamp), max(max_timestamp)
FROM log_segment
WHERE state = 'published'

-- name: hot_runs
-- Runs beyond `$1` with lines in hot batches within the bounds, in the order of their ids.
SELECT part.run, part.rows::bigint AS rows
FROM log_batch AS batch,
    unnest(
        batch.run_ids, batch.run_rows, batch.run_min, batch.run_max,
        batch.run_min_level, batch.run_max_level
    ) AS part (run, rows, first, last, min_level, max_level)
WHERE part.run > $1
    AND part.last >= $2 AND part.first <= $3 AND part.max_level >= $4 AND part.min_level <= $5
ORDER BY part.run
LIMIT $6

-- name: segment_runs
-- The same in segments published since `$7`.
SELECT part.flow_run_id AS run, part.rows
FROM log_segment_run AS part
JOIN log_segment AS segment ON segment.id = part.segment_id AND segment.state = 'published'
WHERE part.flow_run_id > $1 AND segment.published >= $7
    AND part.max_timestamp >= $2 AND part.min_timestamp <= $3
    AND part.max_level >= $4 AND part.min_level <= $5
ORDER BY part.flow_run_id
LIMIT $6

-- name: segments_published_since
-- Also those that were replaced since.
SELECT id FROM log_segment WHERE published >= $1
