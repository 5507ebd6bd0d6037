-- Final segments whose lines are of several days are found without a look at all.
-- depends: 0021_pre_archive

-- migrate: apply

CREATE INDEX log_segment_to_split ON log_segment (id)
    WHERE state = 'published' AND tier = 2
        AND (min_timestamp AT TIME ZONE 'UTC')::date <> (max_timestamp AT TIME ZONE 'UTC')::date;

-- migrate: rollback
-- There is no way back: restore a backup.
