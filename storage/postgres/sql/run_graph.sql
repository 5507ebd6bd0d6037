-- name: read_graph_run
SELECT coalesce(start_time, expected_start_time) AS start_time, end_time
FROM flow_run WHERE id = $1

-- name: select_graph_nodes
-- The nodes of flow run $1 that have not ended before $2, and one more than $3 if there are more;
-- then without edges, for nobody will look at them. A task run that stands for a subflow run is
-- shown as the subflow run. Inputs are what clients sent: what is no list of objects has no edges.
WITH node AS MATERIALIZED (
    SELECT
        CASE WHEN r.id IS NULL THEN 'task-run' ELSE 'flow-run' END AS kind,
        coalesce(r.id, t.id) AS id,
        coalesce(f.name || ' / ' || r.name, t.name) AS label,
        coalesce(r.state_type, t.state_type) AS state_type,
        coalesce(r.start_time, r.expected_start_time, t.start_time, t.expected_start_time)
            AS start_time,
        coalesce(
            r.end_time, t.end_time,
            CASE WHEN t.state_type = 'COMPLETED' THEN t.expected_start_time END
        ) AS end_time,
        t.task_inputs
    FROM task_run t
    LEFT JOIN flow_run r ON r.parent_task_run_id = t.id
    LEFT JOIN flow f ON f.id = r.flow_id
    WHERE t.flow_run_id = $1
        AND coalesce(r.start_time, r.expected_start_time, t.start_time, t.expected_start_time)
            IS NOT NULL
), shown AS MATERIALIZED (
    SELECT * FROM node
    WHERE end_time IS NULL OR end_time >= $2
    ORDER BY start_time, end_time, id
    LIMIT $3::integer + 1
), input AS MATERIALIZED (
    SELECT node.id, node.start_time, entry.key = '__parents__' AS encapsulating,
        lower(argument.value ->> 'id') AS from_id
    FROM node
    CROSS JOIN jsonb_each(node.task_inputs) AS entry
    CROSS JOIN jsonb_array_elements(
        CASE jsonb_typeof(entry.value) WHEN 'array' THEN entry.value ELSE '[]' END
    ) AS argument
    WHERE (SELECT count(*) FROM shown) <= $3
), edge AS MATERIALIZED (
    SELECT DISTINCT input.id AS child_id, input.start_time AS child_start, input.encapsulating,
        node.id AS parent_id, node.start_time AS parent_start
    FROM input JOIN node ON node.id::text = input.from_id
), parents AS (
    SELECT child_id AS id, array_agg(parent_id ORDER BY parent_start, parent_id) AS ids
    FROM edge WHERE NOT encapsulating GROUP BY child_id
), children AS (
    SELECT parent_id AS id, array_agg(child_id ORDER BY child_start, child_id) AS ids
    FROM edge WHERE NOT encapsulating GROUP BY parent_id
), encapsulating AS (
    SELECT child_id AS id, array_agg(parent_id ORDER BY parent_start, parent_id) AS ids
    FROM edge WHERE encapsulating GROUP BY child_id
)
SELECT shown.kind, shown.id, shown.label, shown.state_type, shown.start_time, shown.end_time,
    parents.ids AS parent_ids, children.ids AS child_ids, encapsulating.ids AS encapsulating_ids
FROM shown
LEFT JOIN parents ON parents.id = shown.id
LEFT JOIN children ON children.id = shown.id
LEFT JOIN encapsulating ON encapsulating.id = shown.id
ORDER BY shown.start_time, shown.end_time, shown.id

-- name: select_graph_artifacts
-- The first $2 artifacts of a flow run; results are none that anybody looks at in a graph.
SELECT a.id, a.created, a.key, a.type, a.task_run_id,
    CASE WHEN a.type = 'progress' THEN a.data::text END AS data,
    a.key IS NULL OR a.id = (
        SELECT newest.id FROM artifact newest
        WHERE newest.key = a.key ORDER BY newest.created DESC, newest.id DESC LIMIT 1
    ) AS is_latest
FROM artifact a
WHERE a.flow_run_id = $1 AND a.type <> 'result'
ORDER BY a.created, a.id
LIMIT $2

-- name: select_graph_states
SELECT id, timestamp, type, name FROM flow_run_state WHERE flow_run_id = $1 ORDER BY timestamp, id
