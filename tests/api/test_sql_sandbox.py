"""What SQL must not do is refused or cut off, and the server is none the worse."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from tests.conftest import (
    EmbeddedServers,
    client_of,
    installation,
    own_bucket,
    own_database,
    started_app,
)
from tests.processes import ROOT

# The start of a process counts, and a busy machine takes its time over it.
SECONDS = 3
MEMORY_BYTES = 256 * 1024**2
# The process of the tests, which is the server here, may grow so much meanwhile.
GROWTH_BYTES = 64 * 1024**2

# Of each kind one; tests/storage/test_sql_statement.py has them all.
REFUSED = {
    "file": "SELECT * FROM read_text('/etc/passwd')",
    "file after from": "SELECT * FROM 's3://bucket/logs/x.parquet'",
    "python variable": "SELECT * FROM connection",
    "what logs is made of": "SELECT * FROM tailrace_segments",
    "copy": "COPY (SELECT 1) TO '/tmp/tailrace_escape.csv'",
    "attach": "ATTACH '/tmp/tailrace_escape.db' AS x",
    "install": "INSTALL httpfs",
    "set": "SET enable_external_access = true",
    "second statement": "SELECT 1; SET lock_configuration = false",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "bad pattern": "SELECT regexp_matches('a', '(((')",
    "division of text": "SELECT 'a' / 2",
    "nested selects": "SELECT * FROM " + "(SELECT * FROM " * 500 + "logs" + ")" * 500,
}
# What DuckDB itself refuses in a process that has given up its rights, were it asked.
BEYOND_THE_CHECK = (
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/proc/self/environ')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM read_parquet('http://127.0.0.1/x.parquet')",
    "SELECT * FROM here",
    "COPY (SELECT 1) TO '/tmp/tailrace_escape.csv'",
    "ATTACH '/tmp/tailrace_escape.db' AS x",
    "EXPORT DATABASE '/tmp/tailrace_escape'",
    "INSTALL httpfs",
    "LOAD '/tmp/x.duckdb_extension'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET disabled_filesystems = ''",
    "SET memory_limit = '100GB'",
    "SET temp_directory = '/tmp'",
    "RESET enable_external_access",
    "PRAGMA enable_logging",
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
)
BEYOND_THE_CHECK_CODE = """
import os, socket, subprocess, sys, duckdb
from storage.sql import sandbox
connection = sandbox.open_duckdb()
sandbox.lock_settings(connection, 2**28)
sandbox.give_up_rights()
here = [1]
for statement in sys.stdin.read().split(";"):
    try:
        print("ALLOWED", statement, connection.execute(statement).fetchall())
    except duckdb.Error:
        pass
for name, escape in {
    "file": lambda: open("/etc/passwd").read(),
    "socket": lambda: socket.socket(),
    "process": lambda: subprocess.run(["/bin/ls"], capture_output=True),
}.items():
    try:
        print("ALLOWED", name, escape())
    except OSError:
        pass
print(sorted(name for name in os.environ if name not in ("PYTHONPATH", "LC_CTYPE")))
"""
CUT_OFF = {
    "endless recursion": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "recursion that doubles": "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t)"
    " SELECT count(*) FROM t",
    "giant series": "SELECT sum(hash(i)) FROM range(1000000000000) AS t(i)",
    "cross joins": "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1",
    "giant strings": "SELECT max(length(repeat('x', 1000000000 + i))) FROM range(100) AS t(i)",
    "giant lists": "SELECT len(range(4000000000))",
    "giant aggregate": "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    "giant result": "SELECT repeat('x', 100000) FROM range(1000000)",
    "slow pattern": "SELECT regexp_matches(repeat('a', 100000000), '(a?){500}(a){500}b')",
    "slow like": "SELECT count(*) FROM range(4000000) AS numbers(n) WHERE repeat('ab', 5000) || n LIKE "
    + repr("%a%b" * 200 + "c"),
    "nested lambda": "SELECT list_transform(range(100000), x -> list_sum(list_transform(range(100000),"
    " y -> x * y)))",
}


@pytest.fixture(scope="module")
async def app(embedded_servers: EmbeddedServers) -> AsyncIterator[Litestar]:
    """An application whose statements may take little."""
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
        started_app(
            replace(
                installation(database_url, s3), sql_seconds=SECONDS, sql_memory_bytes=MEMORY_BYTES
            )
        ) as started,
    ):
        yield started


@pytest.fixture(scope="module")
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_no_plain_select_is_refused(
    client: httpx.AsyncClient, statement: str
) -> None:
    answer = await client.post("/tailrace/sql", json={"sql": statement})
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["exception_detail"]
    assert problem["loc"] == ["body", "sql"]
    assert "/root" not in problem["msg"]
    assert "site-packages" not in problem["msg"]


@pytest.mark.parametrize("statement", CUT_OFF.values(), ids=CUT_OFF.keys())
async def test_what_takes_too_much_is_cut_off(client: httpx.AsyncClient, statement: str) -> None:
    before = _resident_bytes()
    began = time.monotonic()
    answer = await client.post("/tailrace/sql", json={"sql": statement})
    assert answer.status_code in (422, 503), answer.text[:500]
    assert time.monotonic() - began < SECONDS + 5
    assert _resident_bytes() - before < GROWTH_BYTES
    assert (await client.get("/health")).status_code == 200
    after = await client.post("/tailrace/sql", json={"sql": "SELECT 42"})
    assert after.json()["rows"] == [[42]]


async def test_duckdb_and_the_kernel_refuse_what_a_check_would_miss() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        BEYOND_THE_CHECK_CODE,
        env={"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate(";".join(BEYOND_THE_CHECK).encode())
    assert process.returncode == 0
    assert told.decode().splitlines() == ["[]"]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
