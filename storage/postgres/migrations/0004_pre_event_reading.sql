-- Events are found by the resources they are about, and by when they came.
-- depends: 0003_pre_block_seed

-- migrate: apply

CREATE INDEX event_by_received ON event (received);
-- The beginning of the id: an index entry has at most 2,704 bytes, an id may be of any length.
CREATE INDEX event_by_resource ON event (left(resource ->> 'prefect.resource.id', 500), occurred DESC);
CREATE INDEX event_by_related ON event
    USING gin (jsonb_path_query_array(related, '$[*]."prefect.resource.id"'));

-- migrate: rollback
-- There is no way back: restore a backup.
