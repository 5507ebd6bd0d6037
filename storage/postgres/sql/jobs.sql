-- name: acquire_job_lease
-- Gives a row when the lease is ours now: nobody held it, its holder let it expire, or we did. The
-- clock is the database's, so the holders' own clocks need not agree.
INSERT INTO job_lease (name, holder, expires)
VALUES ($1, $2, now() + $3::interval)
ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, expires = excluded.expires, last_pass = NULL, next_pass = NULL
    WHERE job_lease.expires < now() OR job_lease.holder = excluded.holder
RETURNING name

-- name: renew_job_lease
-- No row when another holder has taken it.
UPDATE job_lease SET expires = now() + $3::interval, last_pass = $4, next_pass = $5
WHERE name = $1 AND holder = $2
RETURNING name

-- name: release_job_lease
DELETE FROM job_lease WHERE name = $1 AND holder = $2

-- name: record_job_run
-- The record of a pass, first as running, then with its outcome.
INSERT INTO job_run (id, name, holder, started, finished, outcome, report, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE
    SET finished = excluded.finished, outcome = excluded.outcome,
        report = excluded.report, error = excluded.error

-- name: forget_job_run
DELETE FROM job_run WHERE id = $1

-- name: lose_job_runs
-- Only for a holder that has the lease and has begun no pass yet: then whatever is still called
-- running was begun by a holder that is gone.
UPDATE job_run SET outcome = 'lost', finished = now() WHERE name = $1 AND outcome = 'running'

-- name: prune_job_runs
-- Keep the newest `$1` records of each job.
DELETE FROM job_run
USING (
    SELECT id, row_number() OVER (PARTITION BY name ORDER BY started DESC) AS position FROM job_run
) AS ranked
WHERE job_run.id = ranked.id AND ranked.position > $1 AND job_run.outcome <> 'running'

-- name: job_runs
-- The newest records of one job.
SELECT id, name, holder, started, finished, outcome, report, error
FROM job_run
WHERE name = $1
ORDER BY started DESC
LIMIT $2

-- name: job_leases
-- Those in force.
SELECT name, holder, last_pass, next_pass FROM job_lease WHERE expires > now()

-- name: latest_job_runs
-- The newest record of each job.
SELECT DISTINCT ON (name) id, name, holder, started, finished, outcome, report, error
FROM job_run
ORDER BY name, started DESC

-- name: ask_for_job_lease
SELECT pg_notify($1, $2)
