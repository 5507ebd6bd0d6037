"""A database as it is after months of use, with what `bench.seeded_runs` does not make.

Schedules whose runs wait, leases, workers, signs of life, and the manifest of the runs' logs.
"""

import datetime as dt

from bench.seeded_runs import seed_runs
from storage.postgres.pool import Conn

_SCHEDULES = """
INSERT INTO deployment_schedule
    (id, created, updated, deployment_id, schedule, active, parameters)
SELECT d.id, d.created, $1, d.id, '{"cron": "0 4 * * *", "timezone": "UTC", "day_or": true}', true,
    '{}'
FROM deployment d
"""
# A tenth of what is scheduled stays due; the rest is for later.
_WAITING_RUNS = """
UPDATE flow_run SET
    deployment_schedule_id = deployment_id,
    next_scheduled_start_time = waits.until, expected_start_time = waits.until
FROM (
    SELECT id, $1::timestamptz + interval '1 minute' * (row_number() OVER (ORDER BY id) - 500) AS until
    FROM flow_run WHERE state_type = 'SCHEDULED'
) AS waits
WHERE flow_run.id = waits.id
"""
# Each has no schema to check parameters against.
_SIMPLE_DEPLOYMENTS = "UPDATE deployment SET enforce_parameter_schema = false"
_WORKERS = """
INSERT INTO worker (
    id, created, updated, name, work_pool_id, last_heartbeat_time, heartbeat_interval_seconds, status
)
SELECT gen_random_uuid(), $1, $1, 'worker-' || n, p.id, $1, 30,
    CASE WHEN n < 50 THEN 'ONLINE' ELSE 'OFFLINE' END
FROM work_pool p, generate_series(1, 5000) n
"""
_LIMITS = """
INSERT INTO concurrency_limit (
    id, created, updated, active, name, "limit", active_slots, denied_slots, slot_decay_per_second,
    avg_slot_occupancy_seconds
)
SELECT gen_random_uuid(), $1, $1, true, 'limit-' || n, 10, 5, 0, 0, 2
FROM generate_series(1, 5000) n
"""
_LEASES = """
INSERT INTO concurrency_lease (id, created, expires, limit_ids, slots, holder_type, holder_id)
SELECT gen_random_uuid(), $1, $1::timestamptz + interval '1 second' * (n * 37 % 300 - 10),
    ARRAY[l.id], 1, 'task_run', gen_random_uuid()
FROM concurrency_limit l, generate_series(1, 5) n
"""
_SIGNS = """
INSERT INTO flow_run_sign (flow_run_id, last_heard, last_beat)
SELECT id, $1, $1 FROM flow_run WHERE state_type IN ('RUNNING', 'PENDING')
"""
# Every segment holds a thousand runs.
_SEGMENTS = """
INSERT INTO log_segment (
    key, state, tier, published, format, rows, bytes, min_timestamp, max_timestamp, min_run_id,
    max_run_id, hour
)
SELECT 'logs/' || n, 'published', 2, now(), 1, 100000, 5000000, first.created, last.created,
    first.id, last.id, date_trunc('hour', first.created, 'UTC')
FROM generate_series(0, $1::bigint / 1000 - 1) n
CROSS JOIN LATERAL (
    SELECT id, created FROM flow_run
    WHERE id = ('00010000-0000-7000-8000-' || lpad(to_hex(n * 1000 + 1), 12, '0'))::uuid
) AS first
CROSS JOIN LATERAL (
    SELECT id, created FROM flow_run
    WHERE id = ('00010000-0000-7000-8000-' || lpad(to_hex(n * 1000 + 1000), 12, '0'))::uuid
) AS last
"""
_SEGMENT_RUNS = """
INSERT INTO log_segment_run (
    flow_run_id, segment_id, first_row, rows, errors, min_timestamp, max_timestamp, min_level,
    max_level
)
SELECT ('00010000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, s.id, 0, 100, 0,
    s.min_timestamp, s.max_timestamp, 20, 40
FROM log_segment s
JOIN generate_series(1, $1::bigint) n ON s.key = 'logs/' || (n - 1) / 1000
"""
_CHANGED = (
    "deployment",
    "deployment_schedule",
    "flow_run",
    "worker",
    "concurrency_limit",
    "concurrency_lease",
    "flow_run_sign",
    "log_segment",
    "log_segment_run",
)


async def fill_with_months_of_use(conn: Conn, *, runs: int, now: dt.datetime) -> None:
    """So many runs up to `now`, and a quarter as many task runs, events and runs with logs, into an
    empty database."""
    await seed_runs(conn, runs=runs, task_runs=runs // 4, events=runs // 4, now=now)
    for text in (_SCHEDULES, _WAITING_RUNS, _WORKERS, _LIMITS, _LEASES, _SIGNS):
        await conn.execute(text, now)
    await conn.execute(_SIMPLE_DEPLOYMENTS)
    await conn.execute(_SEGMENTS, runs // 4)
    await conn.execute(_SEGMENT_RUNS, runs // 4, timeout=60.0)
    await conn.execute(f"VACUUM (ANALYZE) {', '.join(_CHANGED)}", timeout=60.0)
