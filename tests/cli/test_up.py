"""`tailrace up`: starting, stopping, being killed, and being started where it cannot be."""

import json
import os
import socket
import stat

import httpx
import psutil
import pytest

from tests.cli.conftest import Starter, all_gone, tailrace
from tests.processes import free_port

LINE = {"name": "test", "level": 20, "message": "kept", "timestamp": "2026-11-24T08:00:00Z"}


def _listening(processes: list[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def _lines(url: str) -> list[str]:
    answer = httpx.post(f"{url}/logs/filter", json={}, timeout=30)
    answer.raise_for_status()
    return [line["message"] for line in answer.json()]


def test_it_serves_on_loopback_alone_and_ctrl_c_stops_all_of_it(starter: Starter) -> None:
    one = starter.up().wait_until_ready()
    processes = one.children()
    names = {process.name() for process in processes}
    assert {"postgres", "weed"} <= names
    assert one.healthy()
    assert httpx.get(f"{one.url}/ready", timeout=10).status_code == 200
    assert _listening(processes) == {"127.0.0.1"}
    assert f"export PREFECT_API_URL={one.url}" in one.output()
    assert one.interrupt() == 0
    assert all_gone(processes)
    assert one.output().endswith("stopped\n")


def test_a_second_start_finds_the_same_data(starter: Starter) -> None:
    one = starter.up().wait_until_ready()
    httpx.post(f"{one.url}/logs/", json=[LINE], timeout=30).raise_for_status()
    ports = (starter.directory / "ports.json").read_bytes()
    assert one.terminate() == 0
    two = starter.up().wait_until_ready()
    assert _lines(two.url) == ["kept"]
    assert (starter.directory / "ports.json").read_bytes() == ports


def test_killed_outright_it_leaves_nothing_in_the_way(starter: Starter) -> None:
    port = free_port()
    one = starter.up(port=port).wait_until_ready()
    httpx.post(f"{one.url}/logs/", json=[LINE], timeout=30).raise_for_status()
    processes = one.children()
    one.kill()
    two = starter.up(port=port).wait_until_ready()
    assert all_gone(processes)
    assert _lines(two.url) == ["kept"]


@pytest.mark.parametrize("name", ["api", "jobs", "postgres", "weed"])
def test_what_dies_is_started_again(starter: Starter, name: str) -> None:
    one = starter.up().wait_until_ready()
    assert psutil.Process(one.pid).children()
    victim = next(
        process
        for process in psutil.Process(one.pid).children()
        if process.name() == name
        or (name in ("api", "jobs") and _is_kind(process, one.port, listens=name == "api"))
    )
    victim.kill()
    called = "seaweedfs" if name == "weed" else name
    one.wait_until_says("process died, starting it again")
    one.wait_until_says("process runs again")
    assert called in one.output()
    assert one.healthy()
    assert httpx.get(f"{one.url}/ready", timeout=30).status_code == 200


def _is_kind(process: psutil.Process, port: int, *, listens: bool) -> bool:
    if "app.process" not in process.cmdline():
        return False
    ports = {c.laddr.port for c in process.net_connections("inet") if c.status == "LISTEN"}
    return (port in ports) == listens


def test_no_secret_is_in_arguments_or_readable_files(starter: Starter) -> None:
    one = starter.up(TAILRACE_API_AUTH_STRING="admin:open-sesame").wait_until_ready()
    instance = json.loads((starter.directory / "instance.json").read_bytes())
    password = instance["database_url"].split(":")[2].split("@")[0]
    secrets = [password, instance["s3"]["secret_access_key"], "open-sesame"]
    for process in one.children():
        command = " ".join(process.cmdline())
        assert not any(secret in command for secret in secrets)
    for path in starter.directory.rglob("*"):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert not any(secret in one.output() for secret in secrets)
    assert httpx.get(f"{one.url}/health", timeout=10).status_code == 200
    assert httpx.post(f"{one.url}/logs/filter", json={}, timeout=10).status_code == 401


def test_the_other_commands_find_the_instance(starter: Starter) -> None:
    one = starter.up(TAILRACE_API_AUTH_STRING="admin:open-sesame").wait_until_ready()
    auth = ("admin", "open-sesame")
    httpx.post(f"{one.url}/logs/", json=[LINE], auth=auth, timeout=30).raise_for_status()
    where = {"TAILRACE_DATA_DIR": str(starter.directory)}
    done = tailrace("tier", "offload", **where)
    assert done.returncode == 0, done.stderr
    tiers = json.loads(tailrace("tier", "status", "--json", **where).stdout)
    assert [(tier["tier"], tier["rows"]) for tier in tiers] == [("hot", 0), ("segments", 1)]
    assert tailrace("migrate", **where).returncode == 0
    missing = tailrace("logs", "show", "nobody", **where)
    assert missing.returncode == 2
    assert missing.stderr.startswith("tailrace: no run has the id or name 'nobody'")


def test_a_data_directory_in_use_is_refused(starter: Starter) -> None:
    one = starter.up().wait_until_ready()
    done = tailrace("up", "--data-dir", str(starter.directory), "--port", str(free_port()))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"belongs to a running instance (process {one.pid})" in done.stderr
    assert one.healthy()


def test_a_port_in_use_is_refused_before_anything_starts(starter: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = tailrace("up", "--data-dir", str(starter.directory), "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "--port" in done.stderr
    assert not starter.directory.exists()


def test_a_data_directory_that_is_a_file_is_refused(starter: Starter) -> None:
    starter.directory.write_text("")
    done = tailrace("up", "--data-dir", str(starter.directory), "--port", str(free_port()))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_directory_without_permission_is_refused(starter: Starter) -> None:
    starter.directory.mkdir(mode=0o500)
    done = tailrace("up", "--data-dir", str(starter.directory), "--port", str(free_port()))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr


def test_an_unreachable_database_is_one_line_and_leaves_nothing(starter: Starter) -> None:
    url = f"postgresql://somebody:hidden@127.0.0.1:{free_port()}/nothing"
    one = starter.up(TAILRACE_DATABASE_URL=url)
    assert one._process.wait(60) == 2
    last = one.output().splitlines()[-1]
    assert last.startswith("tailrace: the database cannot be reached")
    assert "TAILRACE_DATABASE_URL" in last
    assert "hidden" not in one.output()
    assert "Traceback" not in one.output()


def test_an_unreachable_bucket_is_one_line_and_leaves_nothing(starter: Starter) -> None:
    one = starter.up(
        TAILRACE_S3_BUCKET="nowhere",
        TAILRACE_S3_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}",
        TAILRACE_S3_ACCESS_KEY_ID="k",
        TAILRACE_S3_SECRET_ACCESS_KEY="hidden",
    )
    assert one._process.wait(60) == 2
    last = one.output().splitlines()[-1]
    assert last.startswith("tailrace: bucket 'nowhere' cannot be reached")
    assert "TAILRACE_S3_ENDPOINT_URL" in last
    assert "hidden" not in one.output()
    assert "Traceback" not in one.output()
    assert not (starter.directory / "postgres" / "postmaster.pid").exists()


def test_other_machines_are_not_served_without_a_password(starter: Starter) -> None:
    arguments = ["--data-dir", str(starter.directory), "--port", str(free_port())]
    done = tailrace("up", "--host", "0.0.0.0", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "TAILRACE_API_AUTH_STRING" in done.stderr
    assert "--insecure" in done.stderr
    assert not starter.directory.exists()
