-- Blocks: their types, schemas and documents, and where results go by default.
-- depends: 0001_pre_foundation

-- migrate: apply

CREATE TABLE block_type (
    id                 uuid PRIMARY KEY,
    created            timestamptz NOT NULL,
    updated            timestamptz NOT NULL,
    name               text NOT NULL,
    slug               text NOT NULL,
    logo_url           text,
    documentation_url  text,
    description        text,
    code_example       text,
    is_protected       boolean NOT NULL,
    CONSTRAINT block_type_slug_is_unique UNIQUE (slug)
);

CREATE TABLE block_schema (
    id             uuid PRIMARY KEY,
    created        timestamptz NOT NULL,
    updated        timestamptz NOT NULL,
    checksum       text NOT NULL,
    -- The JSON schema as the client sent it; its key order is part of what the checksum covers.
    fields         json NOT NULL,
    capabilities   text[] NOT NULL,
    version        text NOT NULL,
    block_type_id  uuid NOT NULL REFERENCES block_type (id) ON DELETE CASCADE,
    CONSTRAINT block_schema_checksum_is_unique UNIQUE (checksum, version)
);
CREATE INDEX block_schema_by_block_type ON block_schema (block_type_id, created DESC);

CREATE TABLE block_document (
    id               uuid PRIMARY KEY,
    created          timestamptz NOT NULL,
    updated          timestamptz NOT NULL,
    name             text NOT NULL,
    -- The document's values as JSON, encrypted: some of them are secrets.
    data             bytea NOT NULL,
    is_anonymous     boolean NOT NULL,
    block_type_id    uuid NOT NULL REFERENCES block_type (id) ON DELETE CASCADE,
    block_schema_id  uuid NOT NULL REFERENCES block_schema (id) ON DELETE CASCADE,
    CONSTRAINT block_document_name_is_unique UNIQUE (block_type_id, name)
);
CREATE INDEX block_document_by_schema ON block_document (block_schema_id);

-- One row at most: the block document that new runs keep their results in.
CREATE TABLE result_storage_default (
    only_row           boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    block_document_id  uuid NOT NULL REFERENCES block_document (id) ON DELETE CASCADE
);

-- migrate: rollback
-- There is no way back: restore a backup.
