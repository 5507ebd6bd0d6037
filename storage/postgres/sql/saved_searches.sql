-- name: upsert_saved_search
-- The search of that name has these filters from now on; a new row has the id that was offered.
INSERT INTO saved_search (id, created, updated, name, filters) VALUES ($1, $2, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET filters = excluded.filters, updated = excluded.updated
RETURNING id, created, updated, name, filters

-- name: read_saved_search
SELECT id, created, updated, name, filters FROM saved_search WHERE id = $1

-- name: select_saved_searches
SELECT id, created, updated, name, filters FROM saved_search ORDER BY name LIMIT $1 OFFSET $2

-- name: delete_saved_search
DELETE FROM saved_search WHERE id = $1 RETURNING id
