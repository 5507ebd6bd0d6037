-- Flows, runs, states, the client's small objects, the log tier's hot part and manifest, jobs.
-- depends:

-- migrate: apply

-- Orchestration ------------------------------------------------------------

CREATE TABLE flow (
    id       uuid PRIMARY KEY,
    created  timestamptz NOT NULL,
    updated  timestamptz NOT NULL,
    name     text NOT NULL,
    tags     text[] NOT NULL,
    labels   jsonb NOT NULL,
    CONSTRAINT flow_name_is_unique UNIQUE (name)
);

CREATE TABLE flow_run (
    id                          uuid PRIMARY KEY,
    created                     timestamptz NOT NULL,
    updated                     timestamptz NOT NULL,
    name                        text NOT NULL,
    flow_id                     uuid NOT NULL REFERENCES flow (id) ON DELETE CASCADE,
    flow_version                text,
    deployment_id               uuid,
    deployment_version          text,
    work_queue_id               uuid,
    work_queue_name             text,
    parameters                  jsonb NOT NULL,
    context                     jsonb NOT NULL,
    idempotency_key             text,
    empirical_policy            jsonb NOT NULL,
    tags                        text[] NOT NULL,
    labels                      jsonb NOT NULL,
    job_variables               jsonb,
    parent_task_run_id          uuid,
    auto_scheduled              boolean NOT NULL DEFAULT false,
    infrastructure_document_id  uuid,
    infrastructure_pid          text,
    created_by                  jsonb,
    -- The current state, kept beside its row in flow_run_state so that filters need no join.
    state_id                    uuid,
    state_type                  text,
    state_name                  text,
    state_timestamp             timestamptz,
    run_count                   integer NOT NULL DEFAULT 0,
    expected_start_time         timestamptz,
    next_scheduled_start_time   timestamptz,
    start_time                  timestamptz,
    end_time                    timestamptz,
    -- Seconds in RUNNING, without the time in RUNNING now.
    total_run_time              double precision NOT NULL DEFAULT 0,
    CONSTRAINT flow_run_idempotency_key_is_unique UNIQUE (flow_id, idempotency_key)
);
CREATE INDEX flow_run_by_deployment ON flow_run (deployment_id) WHERE deployment_id IS NOT NULL;
CREATE INDEX flow_run_by_parent_task_run ON flow_run (parent_task_run_id)
    WHERE parent_task_run_id IS NOT NULL;
CREATE INDEX flow_run_by_expected_start ON flow_run (expected_start_time DESC);
CREATE INDEX flow_run_by_start ON flow_run ((coalesce(start_time, expected_start_time)) DESC);
CREATE INDEX flow_run_by_end ON flow_run (end_time DESC);
CREATE INDEX flow_run_by_state ON flow_run (state_type, next_scheduled_start_time);
CREATE INDEX flow_run_by_name ON flow_run (name);
CREATE INDEX flow_run_by_tags ON flow_run USING gin (tags);

CREATE TABLE flow_run_state (
    id             uuid PRIMARY KEY,
    flow_run_id    uuid NOT NULL REFERENCES flow_run (id) ON DELETE CASCADE,
    created        timestamptz NOT NULL,
    type           text NOT NULL,
    name           text NOT NULL,
    timestamp      timestamptz NOT NULL,
    message        text,
    data           jsonb,
    state_details  jsonb NOT NULL,
    CONSTRAINT flow_run_state_timestamp_is_unique UNIQUE (flow_run_id, timestamp)
);

CREATE TABLE flow_run_input (
    flow_run_id  uuid NOT NULL REFERENCES flow_run (id) ON DELETE CASCADE,
    key          text NOT NULL,
    id           uuid NOT NULL,
    created      timestamptz NOT NULL,
    updated      timestamptz NOT NULL,
    -- The stored string, given back as it came: the client puts JSON into it.
    value        text NOT NULL,
    sender       text,
    CONSTRAINT flow_run_input_key_is_unique PRIMARY KEY (flow_run_id, key)
);

CREATE TABLE task_run (
    id                         uuid PRIMARY KEY,
    created                    timestamptz NOT NULL,
    updated                    timestamptz NOT NULL,
    name                       text NOT NULL,
    -- No foreign key: task runs arrive as events, in any order, perhaps before or after their flow run.
    flow_run_id                uuid,
    task_key                   text NOT NULL,
    dynamic_key                text NOT NULL,
    cache_key                  text,
    cache_expiration           timestamptz,
    task_version               text,
    flow_run_run_count         integer NOT NULL DEFAULT 0,
    empirical_policy           jsonb NOT NULL,
    task_inputs                jsonb NOT NULL,
    tags                       text[] NOT NULL,
    labels                     jsonb NOT NULL,
    state_id                   uuid,
    state_type                 text,
    state_name                 text,
    state_timestamp            timestamptz,
    run_count                  integer NOT NULL DEFAULT 0,
    expected_start_time        timestamptz,
    next_scheduled_start_time  timestamptz,
    start_time                 timestamptz,
    end_time                   timestamptz,
    total_run_time             double precision NOT NULL DEFAULT 0,
    CONSTRAINT task_run_key_is_unique UNIQUE NULLS NOT DISTINCT (flow_run_id, task_key, dynamic_key)
);
CREATE INDEX task_run_by_expected_start ON task_run (expected_start_time DESC);
CREATE INDEX task_run_by_end ON task_run (end_time DESC);
CREATE INDEX task_run_by_state ON task_run (state_type);
CREATE INDEX task_run_by_name ON task_run (name);
CREATE INDEX task_run_by_tags ON task_run USING gin (tags);

CREATE TABLE task_run_state (
    id             uuid PRIMARY KEY,
    task_run_id    uuid NOT NULL REFERENCES task_run (id) ON DELETE CASCADE,
    created        timestamptz NOT NULL,
    type           text NOT NULL,
    name           text NOT NULL,
    timestamp      timestamptz NOT NULL,
    message        text,
    data           jsonb,
    state_details  jsonb NOT NULL
);
CREATE INDEX task_run_state_by_task_run ON task_run_state (task_run_id, timestamp);

-- COMPLETED task states that a later run with the same cache key may take.
CREATE TABLE task_run_state_cache (
    cache_key         text NOT NULL,
    created           timestamptz NOT NULL,
    cache_expiration  timestamptz,
    task_run_state_id uuid NOT NULL REFERENCES task_run_state (id) ON DELETE CASCADE,
    PRIMARY KEY (cache_key, created, task_run_state_id)
);

-- What a run asks for on its way --------------------------------------------

CREATE TABLE variable (
    id       uuid PRIMARY KEY,
    created  timestamptz NOT NULL,
    updated  timestamptz NOT NULL,
    name     text NOT NULL,
    value    jsonb NOT NULL,
    tags     text[] NOT NULL,
    CONSTRAINT variable_name_is_unique UNIQUE (name)
);

CREATE TABLE concurrency_limit (
    id                          uuid PRIMARY KEY,
    created                     timestamptz NOT NULL,
    updated                     timestamptz NOT NULL,
    name                        text NOT NULL,
    active                      boolean NOT NULL,
    "limit"                     integer NOT NULL CHECK ("limit" >= 0),
    active_slots                integer NOT NULL CHECK (active_slots >= 0),
    denied_slots                integer NOT NULL CHECK (denied_slots >= 0),
    slot_decay_per_second       double precision NOT NULL,
    avg_slot_occupancy_seconds  double precision NOT NULL,
    CONSTRAINT concurrency_limit_name_is_unique UNIQUE (name)
);

CREATE TABLE concurrency_lease (
    id           uuid PRIMARY KEY,
    created      timestamptz NOT NULL,
    expires      timestamptz NOT NULL,
    limit_ids    uuid[] NOT NULL,
    slots        integer NOT NULL,
    holder_type  text,
    holder_id    uuid
);
CREATE INDEX concurrency_lease_by_expiry ON concurrency_lease (expires);

CREATE TABLE artifact (
    id           uuid PRIMARY KEY,
    created      timestamptz NOT NULL,
    updated      timestamptz NOT NULL,
    key          text,
    type         text,
    description  text,
    data         jsonb,
    metadata_    jsonb,
    flow_run_id  uuid,
    task_run_id  uuid
);
CREATE INDEX artifact_by_key ON artifact (key, created DESC) WHERE key IS NOT NULL;
CREATE INDEX artifact_by_flow_run ON artifact (flow_run_id) WHERE flow_run_id IS NOT NULL;

-- Events ---------------------------------------------------------------------

CREATE TABLE event (
    id        uuid PRIMARY KEY,
    occurred  timestamptz NOT NULL,
    received  timestamptz NOT NULL,
    event     text NOT NULL,
    resource  jsonb NOT NULL,
    related   jsonb NOT NULL,
    payload   jsonb NOT NULL,
    follows   uuid
);
CREATE INDEX event_by_occurred ON event (occurred DESC);

-- Log tier -------------------------------------------------------------------

-- Hot tier: one row is one flush of one process, an Arrow IPC stream (zstd) of many log lines.
-- The run_* arrays are parallel: what the planner must know of each run without the payload.
-- A line without a flow run counts under the nil UUID.
CREATE TABLE log_batch (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created        timestamptz NOT NULL DEFAULT now(),
    rows           integer NOT NULL CHECK (rows > 0),
    bytes          integer NOT NULL,
    min_timestamp  timestamptz NOT NULL,
    max_timestamp  timestamptz NOT NULL,
    run_ids        uuid[] NOT NULL,
    run_rows       integer[] NOT NULL,
    run_min        timestamptz[] NOT NULL,
    run_max        timestamptz[] NOT NULL,
    run_min_level  integer[] NOT NULL,
    run_max_level  integer[] NOT NULL,
    payload        bytea NOT NULL
);
-- The payload is compressed already.
ALTER TABLE log_batch ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Hashes of bodies acknowledged lately, so that a retried body is not stored twice.
CREATE TABLE log_receipt (
    body_hash  bytea PRIMARY KEY,
    received   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX log_receipt_by_received ON log_receipt (received);

-- Manifest: one row is one immutable Parquet object.
CREATE TABLE log_segment (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key            text NOT NULL UNIQUE,
    state          text NOT NULL CHECK (state IN ('staged', 'published', 'marked')),
    tier           smallint NOT NULL,
    created        timestamptz NOT NULL DEFAULT now(),
    published      timestamptz,
    format         smallint NOT NULL,
    rows           bigint NOT NULL,
    bytes          bigint NOT NULL,
    min_timestamp  timestamptz NOT NULL,
    max_timestamp  timestamptz NOT NULL,
    min_run_id     uuid NOT NULL,
    max_run_id     uuid NOT NULL
);
CREATE INDEX log_segment_by_time ON log_segment (max_timestamp) WHERE state = 'published';

-- A run's rows are contiguous in a segment: [first_row, first_row + rows).
CREATE TABLE log_segment_run (
    flow_run_id    uuid NOT NULL,
    segment_id     bigint NOT NULL REFERENCES log_segment (id) ON DELETE CASCADE,
    first_row      bigint NOT NULL,
    rows           bigint NOT NULL,
    errors         bigint NOT NULL,
    min_timestamp  timestamptz NOT NULL,
    max_timestamp  timestamptz NOT NULL,
    min_level      integer NOT NULL,
    max_level      integer NOT NULL,
    PRIMARY KEY (flow_run_id, segment_id)
);
CREATE INDEX log_segment_run_by_segment ON log_segment_run (segment_id);

-- Runs whose logs are to disappear: no reader shows them, compaction removes them.
CREATE TABLE log_tombstone (
    flow_run_id  uuid PRIMARY KEY,
    created      timestamptz NOT NULL DEFAULT now()
);

-- Jobs -------------------------------------------------------------------------

CREATE TABLE job_lease (
    name     text PRIMARY KEY,
    holder   text NOT NULL,
    expires  timestamptz NOT NULL
);

CREATE TABLE job_run (
    id        uuid PRIMARY KEY,
    name      text NOT NULL,
    holder    text NOT NULL,
    started   timestamptz NOT NULL,
    finished  timestamptz,
    -- running, done, failed, lost
    outcome   text NOT NULL,
    report    jsonb,
    error     text
);
CREATE INDEX job_run_by_name ON job_run (name, started DESC);

-- migrate: rollback
-- There is no way back: restore a backup.
