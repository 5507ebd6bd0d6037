-- name: read_default_result_storage
SELECT block_document_id FROM result_storage_default;

-- name: set_default_result_storage
-- Whether the document can be written to, as a default must; no row when there is no such document.
WITH document AS (
    SELECT d.id, 'write-path' = ANY (s.capabilities) AS can_be_written
    FROM block_document d JOIN block_schema s ON s.id = d.block_schema_id
    WHERE d.id = $1
), written AS (
    INSERT INTO result_storage_default (block_document_id)
    SELECT id FROM document WHERE can_be_written
    ON CONFLICT (only_row) DO UPDATE SET block_document_id = excluded.block_document_id
)
SELECT can_be_written FROM document;

-- name: clear_default_result_storage
DELETE FROM result_storage_default;
