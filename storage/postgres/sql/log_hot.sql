-- name: accept_bodies
-- The hashes of `$1` that are new: not acknowledged within the last 10 minutes. The row lock makes
-- a second process with the same body wait for the first one's commit.
INSERT INTO log_receipt (body_hash)
SELECT unnest($1::bytea[])
ON CONFLICT (body_hash) DO UPDATE
    SET received = now()
    WHERE log_receipt.received < now() - interval '10 minutes'
RETURNING body_hash

-- name: insert_batch
-- One flush as one row; readers of the live tail hear of it when it commits.
WITH batch AS (
    INSERT INTO log_batch (
        rows, bytes, min_timestamp, max_timestamp, run_ids, run_rows, run_min, run_max, payload
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    RETURNING id
)
SELECT id, pg_notify('log_batch', id::text) FROM batch

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

-- name: delete_batches
DELETE FROM log_batch WHERE id = ANY ($1::bigint[])

-- name: prune_receipts
DELETE FROM log_receipt WHERE received < now() - interval '10 minutes'
