-- name: store_batch
-- One flush as one row, in one round trip; readers of the live tail hear of it when it commits.
-- A body acknowledged within the last 10 minutes gives no receipt. Then `rows` becomes 0, which the
-- table's check refuses, and the whole statement is undone: the batch must be made without that body.
-- The conflict on a receipt makes a second process with the same body wait for the first's commit.
WITH receipt AS (
    INSERT INTO log_receipt (body_hash)
    SELECT unnest($1::bytea[])
    ON CONFLICT (body_hash) DO UPDATE
        SET received = now()
        WHERE log_receipt.received < now() - interval '10 minutes'
    RETURNING body_hash
), batch AS (
    INSERT INTO log_batch (
        rows, bytes, min_timestamp, max_timestamp,
        run_ids, run_rows, run_min, run_max, run_min_level, run_max_level, payload
    )
    SELECT
        CASE WHEN (SELECT count(*) FROM receipt) = cardinality($1::bytea[]) THEN $2::integer ELSE 0 END,
        $3::integer, $4::timestamptz, $5::timestamptz,
        $6::uuid[], $7::integer[], $8::timestamptz[], $9::timestamptz[],
        $10::integer[], $11::integer[], $12::bytea
    RETURNING id
), late_lines AS (
    -- Of deleted task runs; where those had lines before is known already, or looked for.
    INSERT INTO log_task_tombstone (task_run_id, flow_run_id, located)
    SELECT task, run, now() FROM unnest($13::uuid[], $14::uuid[]) AS part (task, run)
    WHERE EXISTS (SELECT FROM log_task_tombstone AS dead WHERE dead.task_run_id = task)
    ON CONFLICT DO NOTHING
)
SELECT id, pg_notify('log_batch', id::text) FROM batch

-- name: acknowledged_bodies
SELECT body_hash
FROM log_receipt
WHERE body_hash = ANY ($1::bytea[]) AND received >= now() - interval '10 minutes'

-- name: hot_bytes
SELECT coalesce(sum(bytes), 0)::bigint FROM log_batch

-- name: batches_due
-- Oldest first, without their payloads.
SELECT id, rows, bytes, extract(epoch FROM now() - created)::float8 AS age_seconds
FROM log_batch
ORDER BY id
LIMIT $1

-- name: batch_payloads
SELECT id, payload FROM log_batch WHERE id = ANY ($1::bigint[])

-- name: newest_batch
-- From the sequence: the batch itself may be offloaded by now.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM log_batch_id_seq

-- name: newest_batch_and_time
-- `at` is when the statement began, so that greater ids are given later.
SELECT (extract(epoch FROM now()) * 1000000)::bigint AS at,
    CASE WHEN is_called THEN last_value ELSE 0 END AS newest
FROM log_batch_id_seq

-- name: flushes_under_way
-- Transactions that took an id of the sequence: each holds a lock on it until it ends.
SELECT virtualtransaction
FROM pg_locks
WHERE locktype = 'relation' AND relation = 'log_batch_id_seq'::regclass
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND mode = 'RowExclusiveLock' AND granted

-- name: say_settled
SELECT pg_notify('log_batch', $1)

-- name: delete_batches
DELETE FROM log_batch WHERE id = ANY ($1::bigint[])

-- name: prune_receipts
DELETE FROM log_receipt WHERE received < now() - interval '10 minutes'
