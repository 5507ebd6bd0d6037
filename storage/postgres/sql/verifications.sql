-- name: keep_verification
-- The newest `$9` stay.
WITH old AS (
    DELETE FROM log_verification
    WHERE id NOT IN (SELECT id FROM log_verification ORDER BY started DESC LIMIT $9 - 1)
)
INSERT INTO log_verification
    (id, started, finished, segments, rows, bytes, problem_count, problems)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: last_verification
SELECT started, finished, segments, rows, bytes, problem_count, problems
FROM log_verification ORDER BY started DESC LIMIT 1
