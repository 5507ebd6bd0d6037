-- name: select_artifacts
SELECT a.id, a.created, a.updated, a.key, a.type, a.description, a.data::text AS data,
    a.metadata_, a.flow_run_id, a.task_run_id
FROM artifact a

-- name: latest_artifacts
-- One row per key: its newest artifact, and since when the key has been in use.
SELECT DISTINCT ON (artifact.key) artifact.*,
    min(artifact.created) OVER (PARTITION BY artifact.key) AS key_created
FROM artifact
WHERE artifact.key IS NOT NULL
ORDER BY artifact.key, artifact.created DESC, artifact.id DESC

-- name: select_latest_artifacts
SELECT a.id AS latest_id, a.key_created AS created, a.updated, a.key, a.type, a.description,
    a.data::text AS data, a.metadata_, a.flow_run_id, a.task_run_id

-- name: insert_artifact
INSERT INTO artifact (
    id, created, updated, key, type, description, data, metadata_, flow_run_id, task_run_id
) VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id, created, updated, key, type, description, data::text AS data, metadata_, flow_run_id,
    task_run_id;

-- name: update_artifact
-- The booleans say which of the fields are to change; each may become null.
UPDATE artifact SET
    updated = $2,
    description = CASE WHEN $3 THEN $4 ELSE description END,
    data = CASE WHEN $5 THEN $6 ELSE data END,
    metadata_ = CASE WHEN $7 THEN $8 ELSE metadata_ END
WHERE id = $1
RETURNING id;

-- name: delete_artifact
DELETE FROM artifact WHERE id = $1 RETURNING id;
