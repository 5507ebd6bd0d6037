-- name: select_variables
-- The value as text: a number may be larger than any that Python's JSON encoders write.
SELECT v.id, v.created, v.updated, v.name, v.value::text AS value, v.tags FROM variable v

-- name: insert_variable
INSERT INTO variable (id, created, updated, name, value, tags) VALUES ($1, $2, $2, $3, $4, $5)
RETURNING id, created, updated, name, value::text AS value, tags;

-- name: update_variable
-- Exactly one of $1 (id) and $2 (name) says which; null means "as it was" (a JSON null is none).
UPDATE variable SET
    updated = $3,
    name = coalesce($4, name),
    value = coalesce($5, value),
    tags = coalesce($6, tags)
WHERE id = $1::uuid OR name = $2::text
RETURNING id, created, updated, name, value::text AS value, tags;

-- name: delete_variable
DELETE FROM variable WHERE id = $1::uuid OR name = $2::text
RETURNING id, created, updated, name, value::text AS value, tags;

-- name: select_variable_values
-- Of these names, or of all when $1 is null.
SELECT name, value::text AS value FROM variable WHERE $1::text[] IS NULL OR name = ANY ($1)
