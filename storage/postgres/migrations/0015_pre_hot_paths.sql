-- What is asked again and again goes through an index that holds little else.
-- depends: 0017_pre_compaction

-- migrate: apply

-- Runs in which the zombie killer and Lazarus look for dead ones, page by page.
CREATE INDEX flow_run_alive ON flow_run (state_type, id)
    WHERE state_type IN ('SCHEDULED', 'PENDING', 'RUNNING');
-- A task run that ends gives back what it holds.
CREATE INDEX concurrency_lease_by_holder ON concurrency_lease (holder_id) WHERE holder_id IS NOT NULL;

-- migrate: rollback
-- There is no way back: restore a backup.
