-- name: select_concurrency_limits
SELECT id, created, updated, active, name, "limit", active_slots, denied_slots,
    slot_decay_per_second, avg_slot_occupancy_seconds
FROM concurrency_limit
WHERE starts_with(name, $1)
ORDER BY name
LIMIT $2 OFFSET $3;

-- name: read_concurrency_limit
SELECT id, created, updated, active, name, "limit", active_slots, denied_slots,
    slot_decay_per_second, avg_slot_occupancy_seconds
FROM concurrency_limit
WHERE id = $1::uuid OR name = $2::text;

-- name: lock_concurrency_limits
-- In the order of their ids, so that nobody waits for another in a ring.
SELECT id, created, updated, active, name, "limit", active_slots, denied_slots,
    slot_decay_per_second, avg_slot_occupancy_seconds
FROM concurrency_limit
WHERE name = ANY ($1::text[]) OR id = ANY ($2::uuid[])
ORDER BY id
FOR UPDATE;

-- name: insert_concurrency_limit
INSERT INTO concurrency_limit (
    id, created, updated, active, name, "limit", active_slots, denied_slots, slot_decay_per_second,
    avg_slot_occupancy_seconds
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: write_concurrency_limits
UPDATE concurrency_limit SET
    updated = new.updated,
    active = new.active,
    name = new.name,
    "limit" = new."limit",
    active_slots = new.active_slots,
    denied_slots = new.denied_slots,
    slot_decay_per_second = new.slot_decay_per_second,
    avg_slot_occupancy_seconds = new.avg_slot_occupancy_seconds
FROM unnest(
    $1::uuid[], $2::timestamptz[], $3::boolean[], $4::text[], $5::integer[], $6::integer[],
    $7::integer[], $8::double precision[], $9::double precision[]
) AS new (
    id, updated, active, name, "limit", active_slots, denied_slots, slot_decay_per_second,
    avg_slot_occupancy_seconds
)
WHERE concurrency_limit.id = new.id;

-- name: delete_concurrency_limit
DELETE FROM concurrency_limit WHERE id = $1::uuid OR name = $2::text RETURNING id;

-- name: insert_concurrency_lease
INSERT INTO concurrency_lease (id, created, expires, limit_ids, slots, holder_type, holder_id)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: renew_concurrency_lease
UPDATE concurrency_lease SET expires = $2 WHERE id = $1 RETURNING id;

-- name: lock_concurrency_lease
SELECT id FROM concurrency_lease WHERE id = $1 FOR UPDATE;

-- name: end_concurrency_leases
-- Here and below in the order of their ids, so that nobody waits for another in a ring.
DELETE FROM concurrency_lease WHERE id IN (
    SELECT id FROM concurrency_lease WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE
)
RETURNING id, created, expires, limit_ids, slots, holder_type, holder_id;

-- name: end_concurrency_lease
DELETE FROM concurrency_lease WHERE id = $1
RETURNING id, created, expires, limit_ids, slots, holder_type, holder_id;

-- name: end_expired_concurrency_leases
-- Those that somebody is renewing or giving back at this moment are left to them. As an array:
-- for a set of unknown size the planner would read the whole table.
DELETE FROM concurrency_lease
WHERE id = ANY (ARRAY(
    SELECT id FROM concurrency_lease
    WHERE expires < $1
    ORDER BY expires
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
RETURNING id, created, expires, limit_ids, slots, holder_type, holder_id;

-- name: end_task_run_concurrency_leases
-- The leases of a task run on one of these limits.
DELETE FROM concurrency_lease
WHERE id IN (
    SELECT id FROM concurrency_lease
    WHERE holder_type = 'task_run' AND holder_id = $1 AND limit_ids && ARRAY(
        SELECT id FROM concurrency_limit WHERE name = ANY ($2::text[])
    )
    ORDER BY id
    FOR UPDATE
)
RETURNING id, created, expires, limit_ids, slots, holder_type, holder_id;

-- name: end_tag_concurrency_leases
-- All leases of a task run on limits of tags.
DELETE FROM concurrency_lease
WHERE id IN (
    SELECT l.id FROM concurrency_lease l
    WHERE l.holder_type = 'task_run' AND l.holder_id = $1 AND EXISTS (
        SELECT 1 FROM concurrency_limit c
        WHERE c.id = ANY (l.limit_ids) AND starts_with(c.name, 'tag:')
    )
    ORDER BY l.id
    FOR UPDATE OF l
)
RETURNING id, created, expires, limit_ids, slots, holder_type, holder_id;

-- name: end_concurrency_leases_of_limit
DELETE FROM concurrency_lease WHERE id IN (
    SELECT id FROM concurrency_lease WHERE limit_ids @> ARRAY[$1::uuid] ORDER BY id FOR UPDATE
)
RETURNING id, created, expires, limit_ids, slots, holder_type, holder_id;

-- name: select_concurrency_lease_holders
SELECT limit_id, l.holder_id
FROM concurrency_lease l, unnest(l.limit_ids) AS limit_id
WHERE limit_id = ANY ($1::uuid[]) AND l.holder_id IS NOT NULL
ORDER BY l.created, l.id;
