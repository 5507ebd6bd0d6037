"""Background jobs by the API: what they are, what they did, and passes that somebody wishes for."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.api import job_wishes as waiting
from app.services import Services
from app.wire.base import new_id
from jobs.driver import run_jobs
from jobs.job import Job, Report
from jobs.registry import ALL_JOBS
from storage.errors import Unavailable
from storage.postgres import job_wishes
from storage.postgres.pool import connection

Eventually = Callable[..., Awaitable[None]]
HOUR = dt.timedelta(hours=1)


class Work:
    """A job that counts its passes."""

    def __init__(self) -> None:
        self.passes = 0
        self.error: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self, _: Services) -> Report:
        """One pass."""
        self.passes += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return {"passes": self.passes}

    async def preview(self, _: Services) -> list[str]:
        """A dry run."""
        return [f"pass {self.passes + 1} would come"]

    def jobs(self) -> list[Job]:
        """One that has a dry run, one that has none."""
        return [
            Job(
                name="work",
                description="Works.",
                every=HOUR,
                run=self.run,
                preview=self.preview,
            ),
            Job(name="other", description="Does nothing.", every=HOUR, run=nothing),
        ]


async def nothing(_: Services) -> Report:
    """A pass that finds nothing to do."""
    return {}


@contextlib.asynccontextmanager
async def driving(services: Services, *works: Work) -> AsyncIterator[None]:
    """As many jobs processes as there are works."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run_jobs(services, stop, jobs=work.jobs())) for work in works]
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)


async def begun(client: httpx.AsyncClient) -> bool:
    """Whether jobs are known and the first pass of `work` is recorded."""
    jobs = (await client.get("/tailrace/jobs")).json()["jobs"]
    return len(jobs) == 2 and bool(jobs[1]["recent"])


@pytest.fixture
def services_of_client(app: Any) -> Services:
    """What `client` talks to."""
    services: Services = app.state.services
    return services


async def test_jobs_tell_what_they_do_and_what_they_did(
    client: httpx.AsyncClient, services_of_client: Services, eventually: Eventually
) -> None:
    assert (await client.get("/tailrace/jobs")).json() == {"running": False, "jobs": []}
    work = Work()
    async with driving(services_of_client, work):
        await eventually(lambda: begun(client))
        told = (await client.get("/tailrace/jobs")).json()
        assert told["running"]
        other, job = told["jobs"]
        assert (job["name"], job["description"], job["every_seconds"]) == ("work", "Works.", 3600)
        assert (job["has_dry_run"], other["has_dry_run"]) == (True, False)
        assert job["last"]["report"] == {"passes": 1}
        (summary,) = job["recent"]
        assert summary["outcome"] == "done"
        assert 0 <= summary["seconds"] < 60
        assert job["last_pass"] is not None
        assert (other["last"], other["recent"]) == (None, [])
        history = await client.get("/tailrace/jobs/work/history", params={"limit": 5})
        assert history.json() == [job["last"]]
    assert (await client.get("/tailrace/jobs/nobody/history")).status_code == 404
    too_many = await client.get("/tailrace/jobs/work/history", params={"limit": 1001})
    assert too_many.status_code == 422
    assert not (await client.get("/tailrace/jobs")).json()["running"]


async def test_a_wish_is_done_once_whichever_process_takes_it(
    client: httpx.AsyncClient, services_of_client: Services, eventually: Eventually
) -> None:
    works = [Work(), Work()]
    async with driving(services_of_client, *works):
        await eventually(lambda: begun(client))
        answer = await client.post("/tailrace/jobs/work/run", json={"dry_run": True})
        assert answer.status_code == 200, answer.text
        wish = answer.json()
        assert (wish["state"], wish["report"]) == ("done", None)
        assert wish["lines"] in (["pass 1 would come"], ["pass 2 would come"])
        assert sum(work.passes for work in works) == 1

        answer = await client.post("/tailrace/jobs/work/run")
        assert answer.status_code == 200, answer.text
        wish = answer.json()
        assert (wish["name"], wish["dry_run"], wish["state"]) == ("work", False, "done")
        assert wish["lines"] is None
        assert wish["report"] in ({"passes": 1}, {"passes": 2})
        assert sum(work.passes for work in works) == 2
        again = await client.get(f"/tailrace/jobs/wishes/{wish['id']}")
        assert again.json() == wish


async def test_a_pass_that_fails_says_why(
    client: httpx.AsyncClient, services_of_client: Services, eventually: Eventually
) -> None:
    work = Work()
    async with driving(services_of_client, work):
        await eventually(lambda: begun(client))
        work.error = Unavailable("s3", "it is away")
        answer = await client.post("/tailrace/jobs/work/run", json={})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["state"], answer.json()["report"]) == ("failed", None)
        assert answer.json()["error"].startswith("Unavailable: ")
    history = (await client.get("/tailrace/jobs/work/history")).json()
    assert [each["outcome"] for each in history] == ["failed", "done"]
    assert history[0]["error"] == answer.json()["error"]


async def test_a_pass_that_takes_long_is_asked_for_again(
    client: httpx.AsyncClient,
    services_of_client: Services,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "ENDED_SECONDS", 0.3)
    work = Work()
    async with driving(services_of_client, work):
        await eventually(lambda: begun(client))
        work.may_end.clear()
        answer = await client.post("/tailrace/jobs/work/run", json={})
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "running"
        work.may_end.set()
        wish = f"/tailrace/jobs/wishes/{answer.json()['id']}"

        async def done() -> bool:
            return (await client.get(wish)).json()["report"] == {"passes": 2}

        await eventually(done)


async def test_without_a_jobs_process_nothing_is_left_to_be_done(
    client: httpx.AsyncClient,
    services_of_client: Services,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "TAKEN_SECONDS", 0.3)
    unknown = await client.post("/tailrace/jobs/work/run", json={})
    assert unknown.status_code == 404
    assert "no jobs process has run yet" in unknown.text
    work = Work()
    async with driving(services_of_client, work):
        await eventually(lambda: begun(client))
    answer = await client.post("/tailrace/jobs/work/run", json={})
    assert answer.status_code == 503, answer.text
    assert "no jobs process took it" in answer.text
    async with connection(services_of_client.pool) as conn:
        assert await conn.fetchval("SELECT count(*) FROM job_wish") == 0


async def test_a_wish_whose_process_died_is_lost(
    client: httpx.AsyncClient, services_of_client: Services
) -> None:
    wish_id = new_id()
    async with connection(services_of_client.pool) as conn:
        await job_wishes.wish_for_job(conn, wish_id, "work", dry_run=False)
        taken = await job_wishes.take_job_wish(conn, "somebody", ["work"], dt.timedelta())
        assert taken is not None
        assert await job_wishes.take_job_wish(conn, "another", ["work"], HOUR) is None
    wish = (await client.get(f"/tailrace/jobs/wishes/{wish_id}")).json()
    assert (wish["state"], wish["holder"]) == ("lost", "somebody")


async def test_what_does_not_fit_is_refused(
    client: httpx.AsyncClient, services_of_client: Services, eventually: Eventually
) -> None:
    work = Work()
    async with driving(services_of_client, work):
        await eventually(lambda: begun(client))
        for name, body, field in (
            ("other", {"dry_run": True}, "dry_run"),
            ("work", {"dry_run": "yes"}, "dry_run"),
            ("work", {"dry": True}, "dry"),
        ):
            answer = await client.post(f"/tailrace/jobs/{name}/run", json=body)
            assert answer.status_code == 422
            assert answer.json()["exception_detail"][0]["loc"] == ["body", field]
        assert (await client.post("/tailrace/jobs/nobody/run", json={})).status_code == 404
        assert (await client.get(f"/tailrace/jobs/wishes/{new_id()}")).status_code == 404


def test_every_job_says_what_it_does() -> None:
    for job in ALL_JOBS:
        assert job.description.endswith("."), job.name
