-- name: read_default_result_storage
SELECT block_document_id FROM result_storage_default;

-- name: set_default_result_storage
INSERT INTO result_storage_default (block_document_id) VALUES ($1)
ON CONFLICT (only_row) DO UPDATE SET block_document_id = excluded.block_document_id;

-- name: clear_default_result_storage
DELETE FROM result_storage_default;
