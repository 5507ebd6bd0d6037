-- name: select_block_types
SELECT b.id, b.created, b.updated, b.name, b.slug, b.logo_url, b.documentation_url, b.description,
    b.code_example, b.is_protected
FROM block_type b

-- name: insert_block_type
INSERT INTO block_type (
    id, created, updated, name, slug, logo_url, documentation_url, description, code_example,
    is_protected
) VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, false);

-- name: write_block_type
UPDATE block_type SET
    updated = $2, logo_url = $3, documentation_url = $4, description = $5, code_example = $6
WHERE id = $1;

-- name: delete_block_type
DELETE FROM block_type WHERE id = $1;

-- name: select_block_schemas
SELECT s.id, s.created, s.updated, s.checksum, s.fields::text AS fields, s.capabilities, s.version,
    s.block_type_id,
    b.created AS type_created, b.updated AS type_updated, b.name AS type_name,
    b.slug AS type_slug, b.logo_url AS type_logo_url,
    b.documentation_url AS type_documentation_url, b.description AS type_description,
    b.code_example AS type_code_example, b.is_protected AS type_is_protected
FROM block_schema s JOIN block_type b ON b.id = s.block_type_id

-- name: insert_block_schema
INSERT INTO block_schema (
    id, created, updated, checksum, fields, capabilities, version, block_type_id
) VALUES ($1, $2, $2, $3, $4, $5, $6, $7)
ON CONFLICT (checksum, version) DO NOTHING
RETURNING id;

-- name: delete_block_schema
DELETE FROM block_schema WHERE id = $1 RETURNING id;

-- name: select_block_capabilities
SELECT DISTINCT capability FROM block_schema, unnest(capabilities) AS capability ORDER BY 1;

-- name: select_block_documents
SELECT d.id, d.created, d.updated, d.name, d.data, d.is_anonymous, d.block_type_id,
    d.block_schema_id
FROM block_document d
JOIN block_type b ON b.id = d.block_type_id
JOIN block_schema s ON s.id = d.block_schema_id

-- name: count_block_documents
SELECT count(*)
FROM block_document d
JOIN block_type b ON b.id = d.block_type_id
JOIN block_schema s ON s.id = d.block_schema_id

-- name: lock_block_document
SELECT id, created, updated, name, data, is_anonymous, block_type_id, block_schema_id
FROM block_document WHERE id = $1 FOR UPDATE;

-- name: insert_block_document
INSERT INTO block_document (
    id, created, updated, name, data, is_anonymous, block_type_id, block_schema_id
) VALUES ($1, $2, $2, $3, $4, $5, $6, $7);

-- name: write_block_document
UPDATE block_document SET updated = $2, data = $3, block_schema_id = $4 WHERE id = $1;

-- name: delete_block_document
DELETE FROM block_document WHERE id = $1 RETURNING id;
