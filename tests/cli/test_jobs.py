"""`tailrace jobs list/run/history`, beside a running instance and against a database alone."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Starter, Up, tailrace


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The instance that these tests share."""
    starter = Starter(tmp_path_factory.mktemp("jobs") / "data")
    try:
        yield starter.up().wait_until_ready()
    finally:
        starter.end()


def test_every_job_is_listed_with_the_process_that_runs_it(one: Up) -> None:
    # The first passes begin one after another once the instance is ready.
    until = time.monotonic() + 20
    while True:
        listed = tailrace("jobs", "list", "--json", TAILRACE_DATA_DIR=str(one.directory))
        assert listed.returncode == 0, listed.stderr
        jobs = {job["name"]: job for job in json.loads(listed.stdout)}
        assert jobs["log-offload"]["every_seconds"] == 1
        if all(job["holder"] for job in jobs.values()):
            break
        assert time.monotonic() < until, jobs

    table = tailrace("jobs", "--data-dir", str(one.directory), "list")
    assert table.returncode == 0, table.stderr
    assert "log-offload" in table.stdout


def test_a_pass_is_run_here_and_recorded_although_another_process_has_the_lease(one: Up) -> None:
    where = {"TAILRACE_DATA_DIR": str(one.directory)}
    done = tailrace("jobs", "run", "job-history", **where)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "job-history: nothing to do\n"
    assert "asking it to hand over" in done.stderr

    history = tailrace("jobs", "history", "job-history", "--json", **where)
    newest = json.loads(history.stdout)[0]
    assert newest["outcome"] == "done"


def test_a_job_that_is_not_there_is_answered_with_those_that_are(one: Up) -> None:
    where = {"TAILRACE_DATA_DIR": str(one.directory)}
    for command in ("run", "history"):
        wrong = tailrace("jobs", command, "zombies", **where)
        assert wrong.returncode == 2
        assert "there is no job 'zombies'" in wrong.stderr
        assert "log-offload" in wrong.stderr


def test_a_limit_that_is_none_and_a_dry_run_of_a_job_without_one_are_refused(one: Up) -> None:
    where = {"TAILRACE_DATA_DIR": str(one.directory)}
    assert tailrace("jobs", "history", "log-offload", "--limit", "0", **where).returncode == 2
    refused = tailrace("jobs", "run", "log-offload", "--dry-run", **where)
    assert refused.returncode == 2
    assert "has no dry run" in refused.stderr


def test_jobs_alone_says_what_it_needs() -> None:
    missing = tailrace("jobs", TAILRACE_DATA_DIR="/nonexistent")
    assert missing.returncode == 2
    assert "no instance runs in" in missing.stderr
