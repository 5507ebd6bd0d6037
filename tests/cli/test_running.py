"""One `tailrace up` with a password: what it listens on, tells, hides, and mends."""

import json
import stat
import uuid
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.cli.conftest import Starter, Up, tailrace
from tests.processes import free_port

AUTH = ("admin", "open-sesame")
LINE = {"name": "test", "level": 20, "message": "kept", "timestamp": "2026-11-24T08:00:00Z"}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The instance that these tests share; none of them depends on what another left in it."""
    starter = Starter(tmp_path_factory.mktemp("running") / "data")
    try:
        yield starter.up(TAILRACE_API_AUTH_STRING=":".join(AUTH)).wait_until_ready()
    finally:
        starter.end()


def test_it_listens_on_loopback_alone(one: Up) -> None:
    processes = one.children()
    assert {"postgres", "weed"} <= {process.name() for process in processes}
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_it_says_how_to_point_prefect_at_it(one: Up) -> None:
    assert f"export PREFECT_API_URL={one.url}\n" in one.output()
    assert "export PREFECT_API_AUTH_STRING=" in one.output()


def test_health_is_open_and_the_rest_asks_for_the_password(one: Up) -> None:
    assert one.healthy()
    assert httpx.get(f"{one.url}/ready", timeout=10).status_code == 200
    assert httpx.post(f"{one.url}/logs/filter", json={}, timeout=10).status_code == 401
    assert httpx.post(f"{one.url}/logs/filter", json={}, auth=AUTH, timeout=10).status_code == 200


def test_no_secret_is_printed_or_in_arguments_or_in_files_of_others(one: Up) -> None:
    instance = json.loads((one.directory / "instance.json").read_bytes())
    password = instance["database_url"].split(":")[2].split("@")[0]
    secrets = [password, instance["s3"]["secret_access_key"], AUTH[1]]
    for process in one.children():
        assert not any(secret in " ".join(process.cmdline()) for secret in secrets)
    for path in one.directory.glob("*"):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for name in ("postgres", "seaweedfs"):
        assert stat.S_IMODE((one.directory / name).stat().st_mode) == 0o700
    assert not any(secret in one.output() for secret in secrets)


def test_the_other_commands_find_it(one: Up) -> None:
    httpx.post(f"{one.url}/logs/", json=[LINE], auth=AUTH, timeout=30).raise_for_status()
    where = {"TAILRACE_DATA_DIR": str(one.directory)}
    done = tailrace("tier", "offload", **where)
    assert done.returncode == 0, done.stderr
    tiers = {t["tier"]: t for t in json.loads(tailrace("tier", "status", "--json", **where).stdout)}
    assert tiers["hot"]["rows"] == 0
    assert sum(tier["rows"] for tier in tiers.values()) >= 1
    merged = tailrace("tier", "compact", **where)
    assert merged.returncode == 0, merged.stderr
    assert merged.stdout.endswith("all are final\n")
    verified = tailrace("tier", "verify", "--contents", **where)
    assert (verified.returncode, verified.stdout.splitlines()[-1][-10:]) == (0, "0 problems")
    rules = one.directory / "rules.json"
    rules.write_text('{"rules": [{"name": "rest", "days": 30}]}')
    previewed = tailrace("retention", "preview", str(rules), **where)
    assert previewed.stdout.endswith("nothing is old enough\n"), previewed.stderr
    assert tailrace("retention", "set", str(rules), **where).returncode == 0
    assert json.loads(tailrace("retention", "show", **where).stdout)["rules"][0]["days"] == 30
    rules.write_text('{"rules": [{"name": "rest", "days": 0}]}')
    bad = tailrace("retention", "set", str(rules), **where)
    assert (bad.returncode, "$.rules[0].days" in bad.stderr) == (2, True)
    nobody = tailrace("holds", "add", str(uuid.uuid4()), "--reason", "x", **where)
    assert (nobody.returncode, nobody.stderr) == (1, "tailrace: Flow run not found\n")
    assert tailrace("migrate", **where).returncode == 0
    missing = tailrace("logs", "show", "nobody", **where)
    assert missing.returncode == 2
    assert missing.stderr.startswith("tailrace: no run has the id or name 'nobody'")


@pytest.fixture(scope="module")
def run(one: Up) -> tuple[str, str]:
    """Id and name of a completed flow run with 450 lines, some of them with a second line."""
    with httpx.Client(base_url=one.url, auth=AUTH, timeout=30) as client:
        flow = client.post("/flows/", json={"name": "talkative"}).raise_for_status().json()
        body = {"flow_id": flow["id"], "name": "gentle-heron", "state": {"type": "COMPLETED"}}
        run = client.post("/flow_runs/", json=body).raise_for_status().json()
        lines = [
            {
                "name": "prefect.flow_runs",
                "level": (10, 20, 40)[number % 3],
                "message": f"line {number}" + ("\nand more" if number % 100 == 0 else ""),
                "timestamp": f"2026-11-24T08:{number // 60:02d}:{number % 60:02d}.5Z",
                "flow_run_id": run["id"],
            }
            for number in range(450)
        ]
        client.post("/logs/", json=lines).raise_for_status()
    return run["id"], run["name"]


def _show(one: Up, *arguments: str) -> list[str]:
    done = tailrace("logs", "show", *arguments, TAILRACE_DATA_DIR=str(one.directory))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_logs_are_shown_whole_and_in_order(one: Up, run: tuple[str, str]) -> None:
    shown = _show(one, run[0])
    assert [line.rpartition(" - ")[2] for line in shown if " - " in line] == [
        f"line {number}" for number in range(450)
    ]
    assert shown.count("and more") == 5
    assert shown[2] == "2026-11-24 08:00:01.500 | INFO     | prefect.flow_runs - line 1"
    assert _show(one, run[1]) == shown
    assert _show(one, run[0], "--follow") == shown


def test_logs_can_be_chosen_by_level_and_shown_as_json(one: Up, run: tuple[str, str]) -> None:
    by_name = [json.loads(line) for line in _show(one, run[0], "--level", "warning", "--json")]
    by_number = [json.loads(line) for line in _show(one, run[0], "--level", "30", "--json")]
    assert by_name == by_number
    assert [line["level"] for line in by_name] == [40] * 150
    assert by_name[0]["flow_run_id"] == run[0]


def test_its_data_directory_is_refused_to_others(one: Up) -> None:
    done = tailrace("up", "--data-dir", str(one.directory), "--port", str(free_port()))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"belongs to a running instance (process {one.pid})" in done.stderr


def test_its_port_is_refused_to_others(one: Up) -> None:
    other = one.directory.parent / "other"
    done = tailrace("up", "--data-dir", str(other), "--port", str(one.port))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {one.port}" in done.stderr
    assert not other.exists()


@pytest.mark.parametrize("name", ["api", "jobs", "postgres", "seaweedfs"])
def test_what_dies_is_started_again(one: Up, name: str) -> None:
    before = len(one.output())
    _part(one, name).kill()
    one.wait_until_says("process runs again", after=before)
    assert name in one.output()[before:]
    assert one.healthy()
    assert httpx.get(f"{one.url}/ready", timeout=30).status_code == 200


def _part(one: Up, name: str) -> psutil.Process:
    for process in psutil.Process(one.pid).children():
        ports = {c.laddr.port for c in process.net_connections("inet") if c.status == "LISTEN"}
        ours = "app.process" in process.cmdline()
        if name in ("api", "jobs"):
            found = ours and (one.port in ports) == (name == "api")
        else:
            found = process.name() == {"postgres": "postgres", "seaweedfs": "weed"}[name]
        if found:
            return process
    raise AssertionError(f"no process {name}")
