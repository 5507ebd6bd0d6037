"""Migrations: safe to run by everybody at once, and quick when there is nothing to do."""

import asyncio
import sys
import time

import asyncpg

from storage.postgres.migrate import MIGRATIONS, migrate
from tests.processes import ROOT

MIGRATE = "import asyncio, sys; from storage.postgres.migrate import migrate; asyncio.run(migrate(sys.argv[1]))"


async def _tables(dsn: str) -> set[str]:
    conn = await asyncpg.connect(dsn)
    try:
        rows = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await conn.close()
    return {row["tablename"] for row in rows}


async def test_processes_that_migrate_at_once_all_succeed(empty_database_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            MIGRATE,
            empty_database_url,
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    async with asyncio.timeout(60):
        outcomes = [(await process.communicate())[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outcomes

    tables = await _tables(empty_database_url)
    assert {"flow_run", "log_batch", "log_segment", "job_lease"} <= tables


async def test_each_migration_is_recorded_once(empty_database_url: str) -> None:
    await asyncio.gather(migrate(empty_database_url), migrate(empty_database_url))

    conn = await asyncpg.connect(empty_database_url)
    try:
        recorded = [
            row["migration_id"] for row in await conn.fetch("SELECT * FROM _pogo_migration")
        ]
    finally:
        await conn.close()
    assert sorted(recorded) == sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


async def test_an_up_to_date_database_is_left_alone_quickly(database_url: str) -> None:
    before = await _tables(database_url)

    started = time.monotonic()
    await migrate(database_url)

    assert time.monotonic() - started < 1.0
    assert await _tables(database_url) == before


async def test_rows_survive_another_migration(database_url: str) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute("INSERT INTO log_receipt (body_hash) VALUES ('\\x01')")
        await migrate(database_url)
        assert await conn.fetchval("SELECT count(*) FROM log_receipt") == 1
    finally:
        await conn.close()
