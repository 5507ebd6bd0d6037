-- name: publish_jobs
-- The jobs that this version has; those of others go.
WITH gone AS (
    DELETE FROM job WHERE name <> ALL ($1::text[])
)
INSERT INTO job (name, description, every_seconds, has_dry_run)
SELECT * FROM unnest($1::text[], $2::text[], $3::double precision[], $4::boolean[])
ON CONFLICT (name) DO UPDATE
    SET description = excluded.description, every_seconds = excluded.every_seconds,
        has_dry_run = excluded.has_dry_run

-- name: published_jobs
SELECT name, description, every_seconds, has_dry_run FROM job ORDER BY name

-- name: recent_job_runs
-- The newest `$1` records of each job, oldest first.
SELECT recent.*
FROM job
CROSS JOIN LATERAL (
    SELECT id, name, holder, started, finished, outcome, report, error
    FROM job_run WHERE job_run.name = job.name ORDER BY started DESC LIMIT $1
) AS recent
ORDER BY recent.name, recent.started

-- name: wish_for_job
-- A notification that is sent in the same transaction comes after its commit.
WITH wish AS (
    INSERT INTO job_wish (id, name, dry_run) VALUES ($1, $2, $3) RETURNING id
)
SELECT pg_notify($4, id::text) FROM wish

-- name: take_job_wish
-- One that waits, and has not waited so long that nobody expects it any more.
UPDATE job_wish SET state = 'running', holder = $1, started = now(), alive_until = now() + $2::interval
WHERE id = (
    SELECT id FROM job_wish
    WHERE state = 'waiting' AND name = ANY ($3::text[]) AND asked > now() - $4::interval
    ORDER BY asked
    FOR UPDATE SKIP LOCKED
    LIMIT 1
)
RETURNING id, name, dry_run

-- name: keep_job_wish
UPDATE job_wish SET alive_until = now() + $2::interval WHERE id = $1

-- name: finish_job_wish
UPDATE job_wish
SET state = $2, finished = now(), report = $3, lines = $4::text[], error = $5
WHERE id = $1

-- name: withdraw_job_wish
-- Only one that nobody has taken.
DELETE FROM job_wish WHERE id = $1 AND state = 'waiting'

-- name: read_job_wish
SELECT
    id, name, dry_run, asked, started, finished, holder, report, lines, error,
    CASE WHEN state = 'running' AND alive_until < now() THEN 'lost' ELSE state END AS state
FROM job_wish WHERE id = $1

-- name: running_job_wish
-- The oldest wish for this job that is not done.
SELECT
    id, name, dry_run, asked, started, finished, holder, report, lines, error, state
FROM job_wish
WHERE name = $1 AND (state = 'waiting' OR state = 'running' AND alive_until >= now())
ORDER BY asked
LIMIT 1

-- name: prune_job_wishes
DELETE FROM job_wish WHERE asked < now() - $1::interval
