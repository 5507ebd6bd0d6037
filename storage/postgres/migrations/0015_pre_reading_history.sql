-- Histories come from one index by state and time; a part of a name is found by its trigrams.
-- depends: 0015_pre_hot_paths

-- migrate: apply

-- Of each state in turn, so that a history only adds up; the usual filters need nothing else. It takes
-- the place of one on names of states and of what was included in the one on time.
CREATE INDEX flow_run_history ON flow_run (state_name, state_type, expected_start_time)
    INCLUDE (state_timestamp, start_time, total_run_time, work_queue_id, parent_task_run_id);
DROP INDEX flow_run_by_state_name;
DROP INDEX flow_run_by_expected_start;
CREATE INDEX flow_run_by_expected_start ON flow_run (expected_start_time DESC, id DESC);

-- Where the extension is there and we may have it; without it all names are looked through.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    -- A short list of what waits to be put into the index: each search goes through it.
    CREATE INDEX flow_run_by_part_of_name ON flow_run USING gin (name gin_trgm_ops)
        WITH (gin_pending_list_limit = 1024);
EXCEPTION
    WHEN undefined_file OR feature_not_supported OR insufficient_privilege OR undefined_object THEN
        RAISE NOTICE 'pg_trgm is not available: %', SQLERRM;
END
$$;

-- migrate: rollback
-- There is no way back: restore a backup.
