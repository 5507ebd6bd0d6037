-- Deployments and their schedules; work pools, their queues and workers; what polling looks for.
-- depends: 0004_pre_event_reading

-- migrate: apply

CREATE TABLE work_pool (
    id                     uuid PRIMARY KEY,
    created                timestamptz NOT NULL,
    updated                timestamptz NOT NULL,
    name                   text NOT NULL,
    description            text,
    type                   text NOT NULL,
    base_job_template      jsonb NOT NULL,
    is_paused              boolean NOT NULL,
    concurrency_limit      integer CHECK (concurrency_limit >= 0),
    -- The queue of that name exists as long as the pool does.
    default_queue_id       uuid,
    storage_configuration  jsonb NOT NULL,
    -- READY or NOT_READY as its workers say; a paused pool is answered as PAUSED.
    status                 text NOT NULL CHECK (status IN ('READY', 'NOT_READY')),
    CONSTRAINT work_pool_name_is_unique UNIQUE (name)
);

CREATE TABLE work_queue (
    id                 uuid PRIMARY KEY,
    created            timestamptz NOT NULL,
    updated            timestamptz NOT NULL,
    name               text NOT NULL,
    description        text,
    is_paused          boolean NOT NULL,
    concurrency_limit  integer CHECK (concurrency_limit >= 0),
    -- 1 is served first.
    priority           integer NOT NULL CHECK (priority > 0),
    work_pool_id       uuid NOT NULL REFERENCES work_pool (id) ON DELETE CASCADE,
    -- Tags and deployments that old agents select by.
    filter             jsonb,
    last_polled        timestamptz,
    status             text NOT NULL CHECK (status IN ('READY', 'NOT_READY')),
    CONSTRAINT work_queue_name_is_unique UNIQUE (work_pool_id, name)
);

CREATE TABLE worker (
    id                          uuid PRIMARY KEY,
    created                     timestamptz NOT NULL,
    updated                     timestamptz NOT NULL,
    name                        text NOT NULL,
    work_pool_id                uuid NOT NULL REFERENCES work_pool (id) ON DELETE CASCADE,
    last_heartbeat_time         timestamptz NOT NULL,
    heartbeat_interval_seconds  integer,
    status                      text NOT NULL CHECK (status IN ('ONLINE', 'OFFLINE')),
    CONSTRAINT worker_name_is_unique UNIQUE (work_pool_id, name)
);
CREATE INDEX worker_by_heartbeat ON worker (status, last_heartbeat_time);

CREATE TABLE deployment (
    id                          uuid PRIMARY KEY,
    created                     timestamptz NOT NULL,
    updated                     timestamptz NOT NULL,
    name                        text NOT NULL,
    flow_id                     uuid NOT NULL REFERENCES flow (id) ON DELETE CASCADE,
    version                     text,
    description                 text,
    paused                      boolean NOT NULL,
    -- The limit on runs at the same time, its own (named deployment:{id}) or a shared one.
    concurrency_limit_id        uuid REFERENCES concurrency_limit (id) ON DELETE SET NULL,
    concurrency_options         jsonb,
    job_variables               jsonb NOT NULL,
    parameters                  jsonb NOT NULL,
    -- As the client sent it: the order of its keys is the order of the form.
    parameter_openapi_schema    json,
    enforce_parameter_schema    boolean NOT NULL,
    tags                        text[] NOT NULL,
    labels                      jsonb NOT NULL,
    work_queue_id               uuid REFERENCES work_queue (id) ON DELETE SET NULL,
    work_queue_name             text,
    last_polled                 timestamptz,
    path                        text,
    entrypoint                  text,
    pull_steps                  jsonb,
    storage_document_id         uuid,
    infrastructure_document_id  uuid,
    created_by                  jsonb,
    updated_by                  jsonb,
    status                      text NOT NULL CHECK (status IN ('READY', 'NOT_READY')),
    CONSTRAINT deployment_name_is_unique UNIQUE (flow_id, name)
);
CREATE INDEX deployment_by_work_queue ON deployment (work_queue_id) WHERE work_queue_id IS NOT NULL;
CREATE INDEX deployment_by_concurrency_limit ON deployment (concurrency_limit_id)
    WHERE concurrency_limit_id IS NOT NULL;
CREATE INDEX deployment_by_created ON deployment (created DESC);
CREATE INDEX deployment_by_name ON deployment (name);
CREATE INDEX deployment_by_tags ON deployment USING gin (tags);

CREATE TABLE deployment_schedule (
    id                  uuid PRIMARY KEY,
    created             timestamptz NOT NULL,
    updated             timestamptz NOT NULL,
    deployment_id       uuid NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    -- One of {"interval", "anchor_date", "timezone"}, {"cron", "timezone", "day_or"},
    -- {"rrule", "timezone"}.
    schedule            jsonb NOT NULL,
    active              boolean NOT NULL,
    -- Kept and answered, and not used: so it is in the protocol.
    max_scheduled_runs  integer,
    parameters          jsonb NOT NULL,
    slug                text,
    CONSTRAINT deployment_schedule_slug_is_unique UNIQUE (deployment_id, slug)
);

-- Which schedule made a run; the runs of a schedule that wait are counted and taken back by it.
ALTER TABLE flow_run ADD COLUMN deployment_schedule_id uuid;
CREATE INDEX flow_run_waiting_by_schedule ON flow_run
    (deployment_schedule_id, next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED' AND deployment_schedule_id IS NOT NULL;
-- What pollers look for, and what takes up the room of a queue.
CREATE INDEX flow_run_due_by_work_queue ON flow_run (work_queue_id, next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED' AND work_queue_id IS NOT NULL;
CREATE INDEX flow_run_due_by_deployment ON flow_run (deployment_id, next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED' AND deployment_id IS NOT NULL;
CREATE INDEX flow_run_busy_by_work_queue ON flow_run (work_queue_id)
    WHERE state_type IN ('PENDING', 'RUNNING') AND work_queue_id IS NOT NULL;
CREATE INDEX flow_run_by_work_queue ON flow_run (work_queue_id) WHERE work_queue_id IS NOT NULL;

-- migrate: rollback
-- There is no way back: restore a backup.
