"""The job driver: one place at a time, taken over when its process dies, stopped gracefully."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from app.services import Services
from app.wire.base import new_id, utc_now
from jobs.driver import DriverTimes, run_jobs
from jobs.job import Job, Report
from jobs.lease import LeaseTimes, new_holder, try_lease
from storage.postgres import jobs as job_records
from storage.postgres.jobs import JobRun
from storage.postgres.pool import connection

Eventually = Callable[..., Awaitable[None]]


def _seconds(value: float) -> dt.timedelta:
    return dt.timedelta(seconds=value)


# A fifteenth of the real ones.
TIMES = DriverTimes(
    lease=LeaseTimes(
        lasts=_seconds(1.2),
        renew_every=_seconds(0.3),
        ask_every=_seconds(0.2),
        safety=_seconds(0.3),
    ),
    stop_grace=_seconds(0.5),
    cancel_wait=_seconds(0.5),
    record_after=_seconds(0.05),
)


class Work:
    """A job that counts its passes, and how many of them ran at the same moment."""

    def __init__(self, *, lasting: float = 0.0, error: Exception | None = None) -> None:
        self.lasting = lasting
        self.error = error
        self.passes = 0
        self.cancelled = 0
        self.running = 0
        self.most_at_once = 0

    async def run(self, _: Services) -> Report:
        """One pass."""
        self.passes += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await asyncio.sleep(self.lasting)
            if self.error is not None:
                raise self.error
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return {"passes": self.passes}

    def job(
        self, *, every: float = 0.05, nudged_by: str | None = None, time_limit: float = 60
    ) -> Job:
        """The job that does this work."""
        return Job(
            name="work",
            description="Works.",
            every=_seconds(every),
            run=self.run,
            nudged_by=nudged_by,
            time_limit=_seconds(time_limit),
        )


@contextlib.asynccontextmanager
async def driving(services: Services, *jobs: Job) -> AsyncIterator[asyncio.Event]:
    """A driver that runs during the block; gives the event that stops it."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_jobs(services, stop, jobs=jobs, times=TIMES))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def records(services: Services) -> Sequence[JobRun]:
    """What is recorded of the job, newest first."""
    async with connection(services.pool) as conn:
        return await job_records.job_runs(conn, "work", 100)


async def lease_holder(services: Services) -> str | None:
    """Who holds the job's lease."""
    holder: str | None = await services.pool.fetchval(
        "SELECT holder FROM job_lease WHERE name = 'work'"
    )
    return holder


def at_least(work: Work, passes: int) -> Callable[[], Awaitable[bool]]:
    """A condition for `eventually`."""

    async def reached() -> bool:
        return work.passes >= passes

    return reached


async def test_two_drivers_run_a_job_in_one_place(
    services: Services, eventually: Eventually
) -> None:
    work = Work(lasting=0.05)
    async with driving(services, work.job(every=0.01)), driving(services, work.job(every=0.01)):
        await eventually(at_least(work, 10))

    assert work.most_at_once == 1
    assert len({record.holder for record in await records(services)}) == 1


async def test_each_job_has_its_own_lease(services: Services, eventually: Eventually) -> None:
    slow, quick = Work(lasting=30), Work()
    slow_job = Job(name="slow", description="Works.", every=_seconds(1), run=slow.run)
    async with driving(services, slow_job, quick.job()):
        await eventually(at_least(quick, 3))
    assert slow.passes == 1


async def test_a_dead_holder_is_replaced_when_its_lease_ends(
    services: Services, eventually: Eventually
) -> None:
    async with connection(services.pool) as conn:
        await job_records.acquire_job_lease(conn, "work", "dead:1:x", TIMES.lease.lasts)
        await job_records.record_job_run(
            conn, JobRun(id=new_id(), name="work", holder="dead:1:x", started=utc_now())
        )
    work = Work()
    begun = time.monotonic()
    async with driving(services, work.job()):
        await asyncio.sleep(TIMES.lease.lasts.total_seconds() / 2)
        assert work.passes == 0
        await eventually(at_least(work, 1), within=5)
    waited = time.monotonic() - begun

    longest = TIMES.lease.lasts + TIMES.lease.ask_every
    assert waited < longest.total_seconds() + 1
    assert {r.outcome for r in await records(services) if r.holder == "dead:1:x"} == {"lost"}


def test_the_real_times_replace_a_dead_holder_within_30_seconds() -> None:
    times = LeaseTimes()
    assert times.lasts + times.ask_every <= _seconds(30)
    assert times.renew_every < times.lasts - times.safety


async def test_a_graceful_stop_frees_the_lease_for_the_next(
    services: Services, eventually: Eventually
) -> None:
    first, second = Work(), Work()
    async with driving(services, first.job()):
        await eventually(at_least(first, 1))
    assert await lease_holder(services) is None
    async with driving(services, second.job()):
        await eventually(at_least(second, 1), within=0.5)


async def test_a_stop_lets_a_short_pass_finish(services: Services, eventually: Eventually) -> None:
    work = Work(lasting=0.3)
    async with driving(services, work.job()) as stop:
        await eventually(at_least(work, 1))
        stop.set()
    assert (work.passes, work.cancelled) == (1, 0)
    assert [record.outcome for record in await records(services)] == ["done"]


async def test_a_stop_cancels_a_long_pass(services: Services, eventually: Eventually) -> None:
    work = Work(lasting=60)
    begun = time.monotonic()
    async with driving(services, work.job()) as stop:
        await eventually(at_least(work, 1))
        stop.set()
    assert time.monotonic() - begun < 5
    assert work.cancelled == 1
    [record] = await records(services)
    assert (record.outcome, record.error) == ("failed", "cancelled: the process stops")
    assert await lease_holder(services) is None


async def test_a_pass_that_takes_too_long_is_cancelled_and_recorded(
    services: Services, eventually: Eventually
) -> None:
    work = Work(lasting=60)
    async with driving(services, work.job(time_limit=0.2)):
        await eventually(at_least(work, 2))
    assert work.cancelled >= 1
    assert (await records(services))[-1].error == "cancelled: it took longer than 0.2 s"


async def test_a_pass_that_raises_is_recorded_and_the_loop_goes_on(
    services: Services, eventually: Eventually
) -> None:
    work = Work(error=ValueError("the moon is wrong"))
    async with driving(services, work.job(every=0.01)):
        await eventually(at_least(work, 3))
        work.error = None
        await eventually(at_least(work, 5))
    outcomes = [record.outcome for record in reversed(await records(services))]
    assert outcomes[:3] == ["failed"] * 3
    assert outcomes[-1] == "done"
    assert (await records(services))[-1].error == "ValueError: the moon is wrong"


async def test_a_running_pass_is_recorded_as_running(
    services: Services, eventually: Eventually
) -> None:
    async def recorded() -> bool:
        return [record.outcome for record in await records(services)] == ["running"]

    work = Work(lasting=60)
    async with driving(services, work.job()):
        await eventually(recorded)


async def test_a_pass_with_nothing_to_do_leaves_no_record(
    services: Services, eventually: Eventually
) -> None:
    passes = 0

    async def run(_: Services) -> Report:
        nonlocal passes
        passes += 1
        await asyncio.sleep(0.1)
        return {}

    async def often() -> bool:
        return passes >= 3

    async with driving(
        services, Job(name="work", description="Works.", every=_seconds(0.01), run=run)
    ):
        await eventually(often)
    assert await records(services) == []


async def test_a_nudge_wakes_a_job_early(services: Services, eventually: Eventually) -> None:
    work = Work()
    async with driving(services, work.job(every=3600, nudged_by="work_nudge")):
        await eventually(at_least(work, 1))
        await services.pool.execute("SELECT pg_notify('work_nudge', '')")
        await eventually(at_least(work, 2), within=5)


async def test_a_holder_whose_lease_was_taken_cancels_its_pass(
    services: Services, eventually: Eventually
) -> None:
    work = Work(lasting=60)
    async with driving(services, work.job()):
        await eventually(at_least(work, 1))
        await services.pool.execute(
            "UPDATE job_lease SET holder = 'thief', expires = now() + interval '1 hour'"
        )

        async def cancelled() -> bool:
            return work.cancelled == 1

        await eventually(cancelled, within=2)
        await asyncio.sleep(0.5)
        assert work.passes == 1
    assert await lease_holder(services) == "thief"
    assert (await records(services))[0].error == "cancelled: the lease was lost"


async def test_a_holder_that_cannot_renew_gives_up_before_the_lease_ends(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: object) -> bool:
        await asyncio.sleep(3600)
        return True

    monkeypatch.setattr(job_records, "renew_job_lease", unreachable)
    begun = time.monotonic()
    async with try_lease(services.pool, "work", new_holder(), TIMES.lease) as lost:
        assert lost is not None
        async with asyncio.timeout(5):
            await lost.wait()
        assert time.monotonic() - begun < TIMES.lease.lasts.total_seconds()


async def test_only_the_newest_records_are_kept(services: Services) -> None:
    started = utc_now()
    async with connection(services.pool) as conn:
        for age in range(10):
            run = JobRun(
                id=new_id(),
                name="work",
                holder="here",
                started=started - _seconds(age),
                outcome="done",
            )
            await job_records.record_job_run(conn, run)
        assert await job_records.prune_job_runs(conn, 3) == 7
    assert [record.started for record in await records(services)] == [
        started - _seconds(age) for age in range(3)
    ]
