-- name: insert_events
-- Ordered by id: two processes that insert the same events must not wait for each other in a ring.
INSERT INTO event (id, occurred, received, event, resource, related, payload, follows)
SELECT new.id, new.occurred, new.received, new.event, new.resource, new.related, new.payload, new.follows
FROM unnest(
    $1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[],
    $5::jsonb[], $6::jsonb[], $7::jsonb[], $8::uuid[]
) AS new (id, occurred, received, event, resource, related, payload, follows)
ORDER BY new.id
ON CONFLICT (id) DO NOTHING
RETURNING id;
