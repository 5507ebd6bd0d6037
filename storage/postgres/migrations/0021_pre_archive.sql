-- The archive: which segments a snapshot of the Iceberg table may name, and pyiceberg's catalog.
-- depends: 0019_pre_footer_checksum

-- migrate: apply

-- Set before the segment is put into the table, null again when no snapshot names it any more.
ALTER TABLE log_segment ADD COLUMN archived timestamptz;

-- One row once a segment was published: from then on a table may name something.
CREATE TABLE archive_begun (
    only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    since     timestamptz NOT NULL DEFAULT now()
);

-- As pyiceberg and the JDBC catalog of Iceberg have them, version 1.
CREATE TABLE iceberg_tables (
    catalog_name                varchar(255) NOT NULL,
    table_namespace             varchar(255) NOT NULL,
    table_name                  varchar(255) NOT NULL,
    metadata_location           varchar(1000),
    previous_metadata_location  varchar(1000),
    iceberg_type                varchar(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE iceberg_namespace_properties (
    catalog_name    varchar(255) NOT NULL,
    namespace       varchar(255) NOT NULL,
    property_key    varchar(255) NOT NULL,
    property_value  varchar(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key)
);

-- migrate: rollback
-- There is no way back: restore a backup.
