-- How far the lines of another server's database were taken over.
-- depends: 0019_pre_footer_checksum

-- migrate: apply

-- One row for each source. It moves in the transaction that publishes the lines, so none comes twice.
CREATE TABLE import_progress (
    -- An id that the source's own data has, wherever the source lies.
    source         uuid PRIMARY KEY,
    -- The last line taken, in the order of (updated, id) that the source has.
    after_updated  timestamptz NOT NULL,
    after_id       uuid NOT NULL,
    rows           bigint NOT NULL,
    started        timestamptz NOT NULL DEFAULT now(),
    moved          timestamptz NOT NULL DEFAULT now()
);

-- Lines taken of each run; those without a run count under the nil UUID.
CREATE TABLE import_run (
    source       uuid NOT NULL REFERENCES import_progress (source) ON DELETE CASCADE,
    flow_run_id  uuid NOT NULL,
    rows         bigint NOT NULL,
    PRIMARY KEY (source, flow_run_id)
);

-- migrate: rollback
-- There is no way back: restore a backup.
