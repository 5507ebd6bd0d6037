-- A damaged footer is known before it is parsed: some damage ends the process that parses it.
-- depends: 0017_pre_compaction

-- migrate: apply

-- CRC-32 of the footer (the last `length + 8` bytes of the object); null for objects of before.
ALTER TABLE log_segment ADD COLUMN footer_crc32 bigint;

-- migrate: rollback
-- There is no way back: restore a backup.
