-- Who brought a flow run into a state.
-- depends: 0025_pre_job_wishes

-- migrate: apply

-- A kind, or a kind and a name, as in job:lazarus; null where it was not kept. See app.wire.state_changes.
ALTER TABLE flow_run_state ADD COLUMN changed_by text;

-- migrate: rollback
-- There is no way back: restore a backup.
