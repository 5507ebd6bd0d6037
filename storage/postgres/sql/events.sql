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

-- name: select_events
-- The payload as text: nobody here looks into it.
SELECT e.id, e.occurred, e.received, e.event, e.resource, e.related, e.payload::text AS payload,
    e.follows
FROM event e

-- name: select_newest_events_of_resources
SELECT DISTINCT ON (e.resource ->> 'prefect.resource.id') e.*
FROM event e

-- name: select_events_by_id
SELECT e.id, e.occurred, e.received, e.event, e.resource, e.related, e.payload::text AS payload,
    e.follows
FROM event e
WHERE e.id = ANY ($1::uuid[])
ORDER BY e.occurred, e.id;

-- name: remove_events
-- At most $3 events that occurred in [$1, $2), oldest first: how many, and when the last occurred.
-- The caller goes on from there, so that no index entry of a removed event is passed twice. By place
-- in the table (a row of this table never moves), as that saves looking each of them up by its id.
WITH old AS (
    SELECT ctid, occurred FROM event WHERE occurred >= $1 AND occurred < $2
    ORDER BY occurred LIMIT $3
), removed AS (
    DELETE FROM event WHERE ctid = ANY (ARRAY (SELECT ctid FROM old))
)
SELECT count(*) AS events, max(occurred) AS last FROM old;

-- name: select_event_ids_received_since
SELECT id FROM event WHERE received >= $1;
