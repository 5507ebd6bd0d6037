-- The jobs that there are, and passes that somebody wished for: the API knows jobs only by these tables.
-- depends: 0022_pre_import

-- migrate: apply

-- Written by each jobs process when it starts.
CREATE TABLE job (
    name           text PRIMARY KEY,
    description    text NOT NULL,
    every_seconds  double precision NOT NULL,
    has_dry_run    boolean NOT NULL
);

CREATE TABLE job_wish (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    dry_run      boolean NOT NULL,
    -- waiting, running, done, failed; one that runs and is not alive any more is lost
    state        text NOT NULL DEFAULT 'waiting',
    asked        timestamptz NOT NULL DEFAULT now(),
    started      timestamptz,
    finished     timestamptz,
    holder       text,
    alive_until  timestamptz,
    report       jsonb,
    -- What a dry run says.
    lines        text[],
    error        text
);
CREATE INDEX job_wish_waiting ON job_wish (asked) WHERE state = 'waiting';

-- What was found when manifest and bucket were compared, the newest few; `problems` is a JSON array.
CREATE TABLE log_verification (
    id             uuid PRIMARY KEY,
    started        timestamptz NOT NULL,
    finished       timestamptz NOT NULL,
    segments       bigint NOT NULL,
    rows           bigint NOT NULL,
    bytes          bigint NOT NULL,
    problem_count  integer NOT NULL,
    problems       jsonb NOT NULL
);
CREATE INDEX log_verification_by_started ON log_verification (started DESC);

-- migrate: rollback
-- There is no way back: restore a backup.
