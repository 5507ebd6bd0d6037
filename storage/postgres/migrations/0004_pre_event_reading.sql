-- Events are found by the resources they are about, and by when they came.
-- depends: 0003_pre_block_seed

-- migrate: apply

CREATE INDEX event_by_received ON event (received);
CREATE INDEX event_by_resource ON event ((resource ->> 'prefect.resource.id'), occurred DESC);
CREATE INDEX event_by_related ON event
    USING gin (jsonb_path_query_array(related, '$[*]."prefect.resource.id"'));

-- migrate: rollback
-- There is no way back: restore a backup.
