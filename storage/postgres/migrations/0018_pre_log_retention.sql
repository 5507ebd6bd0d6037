-- Which logs are kept for how long, and which ones nothing may delete.
-- depends: 0017_pre_compaction

-- migrate: apply

-- The rules in force, one row: the first that fits a run decides.
CREATE TABLE log_retention (
    only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    rules     jsonb NOT NULL,
    updated   timestamptz NOT NULL DEFAULT now()
);

-- Lines that compaction leaves out: those of a run below a level. For the nil run, which stands for
-- lines outside any run, those before a time.
CREATE TABLE log_expiry (
    flow_run_id  uuid PRIMARY KEY,
    below_level  integer,
    before       timestamptz,
    created      timestamptz NOT NULL DEFAULT now()
);

-- A held run cannot be deleted, by whatever path, and its logs stay.
CREATE TABLE log_hold (
    flow_run_id  uuid PRIMARY KEY CONSTRAINT flow_run_is_held REFERENCES flow_run (id) ON DELETE RESTRICT,
    reason       text NOT NULL,
    created      timestamptz NOT NULL DEFAULT now()
);

-- migrate: rollback
-- There is no way back: restore a backup.
