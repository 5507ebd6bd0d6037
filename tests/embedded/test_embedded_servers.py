"""The embedded servers by themselves: ports, files, leftovers."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from storage.embedded.data_directory import (
    Instance,
    find_instance,
    open_data_directory,
)
from storage.embedded.errors import CannotStart
from storage.embedded.postgres import open_postgres
from storage.embedded.seaweedfs import open_seaweedfs
from storage.embedded.server_user import find_server_user, let_pass
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import S3Config

ROOT = Path(__file__).parent.parent.parent
INSTANCE = Instance(
    pid=1, api_url="http://127.0.0.1:1/api", database_url="postgresql://", s3=S3Config(bucket="b")
)


async def test_postgres_keeps_its_data_port_and_password(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data") as directory:
        async with open_postgres(directory) as first:
            conn = await asyncpg.connect(first.dsn)
            assert (await conn.fetchval("SHOW server_version")).startswith("18.")
            assert await conn.fetchval("SHOW fsync") == "on"
            assert await conn.fetchval("SHOW listen_addresses") == "127.0.0.1"
            await conn.execute("CREATE TABLE kept AS SELECT 42 AS number")
            await conn.close()
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(first.dsn, password="guess")
        async with open_postgres(directory) as second:
            assert second.dsn == first.dsn
            conn = await asyncpg.connect(second.dsn)
            assert await conn.fetchval("SELECT number FROM kept") == 42
            await conn.close()
    for name in ("postgres-password", "postgres.log"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600


async def test_seaweedfs_keeps_objects_and_listens_on_loopback_alone(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data") as directory:
        async with open_seaweedfs(directory) as server:
            first = server.s3
            connections = psutil.Process(server.process.pid).net_connections("inet")
            listening = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
            assert listening == {"127.0.0.1"}
            async with S3ObjectStore.open(first) as objects:
                await objects.put_new("a/b", b"kept")
            await server.stop()
            await server.start()
            assert server.s3 == first
            async with S3ObjectStore.open(first) as objects:
                assert await objects.read_range("a/b", 0, 4) == b"kept"
    assert stat.S_IMODE((tmp_path / "data" / "s3.json").stat().st_mode) == 0o600


async def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data") as directory:
        async with open_postgres(directory) as server:
            first = server.dsn
            await server.stop()
            port = directory.choose_ports(["postgres"])["postgres"]
            with socket.create_server(("127.0.0.1", port)):
                await server.start()
                assert server.dsn != first
                conn = await asyncpg.connect(server.dsn, timeout=5)
                await conn.close()


async def test_a_server_that_was_left_behind_is_ended(tmp_path: Path) -> None:
    # Stopped, so that the signal it gets when its parent dies does not end it.
    path = tmp_path / "data"
    program = f"""
import asyncio, os
from pathlib import Path
from storage.embedded.data_directory import open_data_directory
from storage.embedded.postgres import open_postgres
async def main():
    with open_data_directory(Path({str(path)!r})) as directory:
        async with open_postgres(directory) as server:
            print("pid", server.process.pid, flush=True)
            await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    line = b""
    while not line.startswith(b"pid "):
        line = await asyncio.wait_for(parent.stdout.readline(), 60)
        assert line, "it ended instead of starting"
    left = psutil.Process(int(line.split()[1]))
    left.suspend()
    parent.kill()
    await parent.wait()
    os.kill(left.pid, signal.SIGCONT)
    with open_data_directory(path) as directory:
        async with open_postgres(directory) as server:
            assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
            conn = await asyncpg.connect(server.dsn)
            await conn.close()


def test_a_directory_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    with open_data_directory(tmp_path) as directory:
        directory.write_instance(INSTANCE)
        assert stat.S_IMODE((tmp_path / "instance.json").stat().st_mode) == 0o600
        assert find_instance(tmp_path) == INSTANCE
        with (
            pytest.raises(CannotStart, match=rf"running instance \(process {os.getpid()}\)"),
            open_data_directory(tmp_path),
        ):
            pass
    assert find_instance(tmp_path) is None
    with open_data_directory(tmp_path):
        assert find_instance(tmp_path) is None


def test_ports_stay_the_same_unless_they_are_taken(tmp_path: Path) -> None:
    with open_data_directory(tmp_path) as directory:
        ports = directory.choose_ports(["a", "b"])
        assert directory.choose_ports(["a", "b"]) == ports
        with socket.create_server(("127.0.0.1", ports["a"])):
            other = directory.choose_ports(["a", "b"])
        assert other["a"] != ports["a"]
        assert other["b"] == ports["b"]
        again = directory.choose_ports(["a", "b"], again=True)
        assert not set(again.values()) & set(other.values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")
def test_the_database_user_may_pass_a_private_directory_and_no_more(tmp_path: Path) -> None:
    user = find_server_user()
    assert user is not None
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "inner").mkdir(mode=0o755)
    (home / "inner" / "file").write_text("x")
    assert home in let_pass(user, home / "inner")
    assert let_pass(user, home / "inner") == []

    def as_user(*command: str) -> int:
        return subprocess.run(
            command, user=user.uid, group=user.gid, capture_output=True, timeout=10, check=False
        ).returncode

    assert as_user("cat", str(home / "inner" / "file")) == 0
    assert as_user("ls", str(home)) != 0
    assert stat.S_IMODE(home.stat().st_mode) & 0o007 == 0
    home.chmod(0o700)
    assert let_pass(user, home / "inner") == [home]
    assert as_user("cat", str(home / "inner" / "file")) == 0
