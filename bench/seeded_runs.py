"""A database with many flow runs, as an installation looks after months of use.

Everything is made by INSERT … SELECT from generate_series, so a million runs take well under a
minute. What a run looks like follows from its number alone: the same every time. Runs are spread
over 90 days before `now`, 1,000 flows, 2,000 deployments and 20 work queues; 98 of 100 are over,
most of them completed; a few run, wait or are late; one of 100 is a subflow run.
"""

import datetime as dt

from storage.postgres.pool import Conn

FLOWS = 1_000
DEPLOYMENTS = 2_000
QUEUES = 20
SPAN = dt.timedelta(days=90)

# Ids that can be computed from a number: kind in the first digits, the number in the last.
_ID = "('%s0000-0000-7000-8000-' || lpad(to_hex(%s), 12, '0'))::uuid"


def _id(kind: str, number: str) -> str:
    return _ID % (kind, number)


_OBJECTS = f"""
INSERT INTO flow (id, created, updated, name, tags, labels)
SELECT {_id("000f", "n")}, now(), now(), 'flow-' || n, ARRAY['team-' || n % 10], '{{}}'
FROM generate_series(1, {FLOWS}) n;

INSERT INTO work_pool (
    id, created, updated, name, type, base_job_template, is_paused, storage_configuration, status
)
VALUES ({_id("000b", "1")}, now(), now(), 'seeded', 'process', '{{}}', false, '{{}}', 'READY');

INSERT INTO work_queue (
    id, created, updated, name, is_paused, priority, work_pool_id, status
)
SELECT {_id("000a", "n")}, now(), now(), 'queue-' || n, false, n, {_id("000b", "1")}, 'READY'
FROM generate_series(1, {QUEUES}) n;

INSERT INTO deployment (
    id, created, updated, name, flow_id, paused, job_variables, parameters,
    enforce_parameter_schema, tags, labels, work_queue_id, work_queue_name, status
)
SELECT {_id("000d", "n")}, now(), now(), 'deployment-' || n, {_id("000f", f"n % {FLOWS} + 1")},
    false, '{{}}', '{{}}', true, '{{}}', '{{}}', {_id("000a", f"n % {QUEUES} + 1")},
    'queue-' || (n % {QUEUES} + 1), 'READY'
FROM generate_series(1, {DEPLOYMENTS}) n;
"""

_RUNS = f"""
INSERT INTO flow_run (
    id, created, updated, name, flow_id, deployment_id, work_queue_id, work_queue_name, parameters,
    context, empirical_policy, tags, labels, auto_scheduled, parent_task_run_id, state_id,
    state_type, state_name, state_timestamp, run_count, expected_start_time,
    next_scheduled_start_time, start_time, end_time, total_run_time
)
SELECT {_id("0001", "n")}, expected, expected, 'run-' || substr(md5(n::text), 1, 12),
    {_id("000f", f"d % {FLOWS} + 1")}, {_id("000d", "d")}, {_id("000a", f"d % {QUEUES} + 1")},
    'queue-' || (d % {QUEUES} + 1), '{{"n": 1}}', '{{}}', '{{}}',
    ARRAY['env-' || n % 4, 'tag-' || n % 500], '{{}}', true,
    CASE WHEN n % 100 = 0 THEN {_id("0002", "n / 100")} END, {_id("0005", "n")}, state_type,
    CASE WHEN state_type = 'SCHEDULED' AND n % 5 = 0 THEN 'Late' ELSE initcap(state_type) END,
    expected + interval '1 minute', 1, expected, expected,
    CASE WHEN state_type NOT IN ('SCHEDULED', 'PENDING') THEN expected + interval '2 s' END,
    CASE WHEN state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
        THEN expected + interval '1 minute' END,
    n % 600
FROM (
    SELECT n, (n * 7919) % {DEPLOYMENTS} + 1 AS d,
        $1::timestamptz - $2::interval * ($3::bigint - n) / $3 AS expected,
        CASE
            WHEN n > $3 - $3 / 200 THEN 'SCHEDULED'
            WHEN n % 1000 < 1 THEN 'RUNNING'
            WHEN n % 1000 < 2 THEN 'PENDING'
            WHEN n % 100 < 6 THEN 'FAILED'
            WHEN n % 100 < 8 THEN 'CRASHED'
            WHEN n % 100 < 9 THEN 'CANCELLED'
            ELSE 'COMPLETED'
        END AS state_type
    FROM generate_series(1, $3::bigint) n
) AS seeded
"""

_STATES = f"""
INSERT INTO flow_run_state (id, flow_run_id, created, type, name, timestamp, state_details)
SELECT state_id, id, state_timestamp, state_type, state_name, state_timestamp, '{{}}'
FROM flow_run WHERE id >= {_id("0001", "1")} AND id <= {_id("0001", "$1::bigint")}
"""

_TASK_RUNS = f"""
INSERT INTO task_run (
    id, created, updated, name, flow_run_id, task_key, dynamic_key, empirical_policy, task_inputs,
    tags, labels, state_type, state_name, state_timestamp, run_count, expected_start_time,
    start_time, end_time, total_run_time
)
SELECT {_id("0002", "n")}, now(), now(), 'task-' || n % 7, {_id("0001", "n / 3 + 1")}, 'task', n::text,
    '{{}}', '{{}}', '{{}}', '{{}}', 'COMPLETED', 'Completed', t, 1, t, t, t + interval '3 s', 3
FROM (
    SELECT n, $1::timestamptz - $2::interval * ($3::bigint - n) / $3 AS t
    FROM generate_series(1, $3::bigint) n
) AS seeded
"""

_EVENTS = """
INSERT INTO event (id, occurred, received, event, resource, related, payload)
SELECT gen_random_uuid(), t, t, 'prefect.flow-run.Completed',
    jsonb_build_object('prefect.resource.id', 'prefect.flow-run.' || n), '[]', '{}'
FROM (
    SELECT n, $1::timestamptz - $2::interval * ($3::bigint - n) / $3 AS t
    FROM generate_series(1, $3::bigint) n
) AS seeded
"""

# A primary key stays: other tables may refer to it.
_PLAIN_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index
WHERE indrelid::regclass::text = ANY ($1) AND NOT indisunique
"""
_CONSTRAINTS = """
SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE conrelid::regclass::text = ANY ($1) AND contype IN ('f', 'u')
"""
_TABLES = ["flow_run", "flow_run_state", "task_run", "event"]


async def seed_runs(
    conn: Conn, *, runs: int, task_runs: int, events: int, now: dt.datetime
) -> None:
    """Fill an empty database; its statistics and visibility maps are up to date afterwards."""
    seconds = 600.0
    # Indexes and constraints are made at the end, of all rows at once.
    indexes = await conn.fetch(_PLAIN_INDEXES, _TABLES)
    for index in indexes:
        await conn.execute(f"DROP INDEX {index['name']}")
    constraints = await conn.fetch(_CONSTRAINTS, _TABLES)
    for one in constraints:
        await conn.execute(f"ALTER TABLE {one['table']} DROP CONSTRAINT {one['name']}")
    await conn.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
    await conn.execute(_OBJECTS)
    for text, rows in ((_RUNS, runs), (_TASK_RUNS, task_runs), (_EVENTS, events)):
        await conn.execute(text, now, SPAN, rows, timeout=seconds)
    await conn.execute(_STATES, runs, timeout=seconds)
    for index in indexes:
        await conn.execute(index["definition"], timeout=seconds)
    for one in constraints:
        text = f"ALTER TABLE {one['table']} ADD CONSTRAINT {one['name']} {one['definition']}"
        await conn.execute(text, timeout=seconds)
    await conn.execute("VACUUM (ANALYZE)", timeout=seconds)
