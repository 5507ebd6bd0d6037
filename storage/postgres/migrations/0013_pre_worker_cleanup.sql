-- What workers are asked to clean up, each by one worker of a pool at a time.
-- depends: 0018_pre_log_retention

-- migrate: apply

-- A message is waiting, or reserved by `holder` until `lease_expires_at`, or dead: delivered as often
-- as it may be. One that was acknowledged is gone.
CREATE TABLE worker_cleanup (
    id                 uuid PRIMARY KEY,
    created            timestamptz NOT NULL,
    work_pool_id       uuid NOT NULL REFERENCES work_pool (id) ON DELETE CASCADE,
    work_queue_id      uuid,
    kind               text NOT NULL,
    target             jsonb NOT NULL,
    delivery_count     integer NOT NULL DEFAULT 0,
    holder             uuid,
    reservation_token  text,
    lease_expires_at   timestamptz,
    died               timestamptz,
    release_reason     text
);

CREATE INDEX worker_cleanup_waiting ON worker_cleanup (work_pool_id, created)
    WHERE died IS NULL AND lease_expires_at IS NULL;
CREATE INDEX worker_cleanup_reserved ON worker_cleanup (lease_expires_at)
    WHERE died IS NULL AND lease_expires_at IS NOT NULL;
CREATE INDEX worker_cleanup_by_holder ON worker_cleanup (holder) WHERE lease_expires_at IS NOT NULL;

-- migrate: rollback
-- There is no way back: restore a backup.
