"""`tailrace up`: starting, stopping, being killed, and being started where it cannot be."""

import os
import socket

import httpx
import pytest

from tests.cli.conftest import Starter, all_gone, tailrace
from tests.processes import free_port

LINE = {"name": "test", "level": 20, "message": "kept", "timestamp": "2026-11-24T08:00:00Z"}


def _lines(url: str) -> list[str]:
    answer = httpx.post(f"{url}/logs/filter", json={}, timeout=30)
    answer.raise_for_status()
    return [line["message"] for line in answer.json()]


def test_ctrl_c_stops_all_of_it_and_a_second_start_finds_the_same_data(starter: Starter) -> None:
    one = starter.up().wait_until_ready()
    httpx.post(f"{one.url}/logs/", json=[LINE], timeout=30).raise_for_status()
    ports = (starter.directory / "ports.json").read_bytes()
    processes = one.children()
    assert one.interrupt() == 0
    assert one.output().endswith("stopped\n")
    assert all_gone(processes)
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
    assert one.wait() == 2
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
    assert one.wait() == 2
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
