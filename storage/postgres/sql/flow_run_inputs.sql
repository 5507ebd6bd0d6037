-- name: insert_flow_run_input
INSERT INTO flow_run_input (flow_run_id, key, id, created, updated, value, sender)
VALUES ($1, $2, $3, $4, $4, $5, $6)

-- name: read_flow_run_input
SELECT value FROM flow_run_input WHERE flow_run_id = $1 AND key = $2

-- name: select_flow_run_inputs
-- Oldest first, so that a client that remembers what it has seen gets what is new in order.
SELECT id, created, updated, flow_run_id, key, value, sender
FROM flow_run_input
WHERE flow_run_id = $1 AND starts_with(key, $2) AND key <> ALL ($3)
ORDER BY created, key
LIMIT $4

-- name: delete_flow_run_input
DELETE FROM flow_run_input WHERE flow_run_id = $1 AND key = $2 RETURNING id
