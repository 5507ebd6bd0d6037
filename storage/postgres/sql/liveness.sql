-- name: select_deployment_subjects
-- Deployments and what they belong to, as far as the events of their status tell.
SELECT
    d.id, d.name, d.flow_id, f.name AS flow_name, q.id AS work_queue_id, q.name AS work_queue_name,
    p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type
FROM deployment d
JOIN flow f ON f.id = d.flow_id
LEFT JOIN work_queue q ON q.id = d.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id
WHERE d.id = ANY ($1)
ORDER BY d.id
