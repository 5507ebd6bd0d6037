-- Compaction: which segments belong together, and when one that was replaced may go.
-- depends: 0012_pre_task_tombstones

-- migrate: apply

ALTER TABLE log_segment
    -- The hour (UTC) in which its lines were offloaded, the first one of a segment that spans more.
    ADD COLUMN hour timestamptz,
    -- Of the whole object; null for those made before this column.
    ADD COLUMN sha256 bytea,
    ADD COLUMN marked timestamptz,
    -- Tombstones written before this moment have been applied to its lines.
    ADD COLUMN cleaned timestamptz,
    -- Its object was found missing or unreadable; compaction leaves it alone.
    ADD COLUMN damaged timestamptz;
UPDATE log_segment
SET hour = date_trunc('hour', created, 'UTC'), marked = CASE WHEN state = 'marked' THEN now() END;
ALTER TABLE log_segment
    ALTER COLUMN hour SET DEFAULT date_trunc('hour', now(), 'UTC'),
    ALTER COLUMN hour SET NOT NULL;
-- `tier` counts the rewrites of a segment's lines; those of tier 2 are not merged again.
CREATE INDEX log_segment_to_merge ON log_segment (hour, id) WHERE state = 'published' AND tier < 2;
CREATE INDEX log_segment_not_published ON log_segment (state, id) WHERE state <> 'published';

-- migrate: rollback
-- There is no way back: restore a backup.
