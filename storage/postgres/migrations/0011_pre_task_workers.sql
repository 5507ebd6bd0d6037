-- Saved searches; task runs that wait for a task worker, and who these workers are.
-- depends: 0005_pre_agents

-- migrate: apply

CREATE TABLE saved_search (
    id       uuid PRIMARY KEY,
    created  timestamptz NOT NULL,
    updated  timestamptz NOT NULL,
    name     text NOT NULL,
    filters  jsonb NOT NULL,
    CONSTRAINT saved_search_name_is_unique UNIQUE (name)
);

-- Deferred task runs that no task worker has acknowledged yet.
CREATE TABLE deferred_task_run (
    task_run_id  uuid PRIMARY KEY REFERENCES task_run (id) ON DELETE CASCADE,
    task_key     text NOT NULL,
    queued       timestamptz NOT NULL,
    -- Until then the run lies with the task worker at the end of this connection.
    held_until   timestamptz,
    connection   uuid
);
CREATE INDEX deferred_task_run_by_key ON deferred_task_run (task_key, queued, task_run_id);

-- Connections of task workers. A connection that was not seen for a while died with its process.
CREATE TABLE task_worker (
    connection  uuid PRIMARY KEY,
    identifier  text NOT NULL,
    task_keys   text[] NOT NULL,
    seen        timestamptz NOT NULL
);

-- migrate: rollback
-- There is no way back: restore a backup.
