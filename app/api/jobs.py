"""Tailrace's own routes of background jobs: see them, and have one run now."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.api.job_wishes import GOES_ON, ask_for_pass
from app.services import Services
from app.wire.jobs import JobPass, Jobs, JobWish, JobWishCreate
from storage.errors import NotFound
from storage.postgres import job_wishes
from storage.postgres.job_wishes import PublishedJob, pass_of
from storage.postgres.jobs import job_runs
from storage.postgres.pool import Conn, connection

MAX_HISTORY = 1000

_WISH = msgspec.json.Decoder(JobWishCreate)


@get("/tailrace/jobs")
async def read_jobs(services: Services) -> Jobs:
    """Each job: what it does, how often, when last and next, how that ended, and in which process. None
    before a jobs process has started once."""
    async with connection(services.pool) as conn:
        running, found = await job_wishes.job_statuses(conn)
    return Jobs(running=running, jobs=found)


@get("/tailrace/jobs/{name:str}/history")
async def read_history(
    name: str,
    services: Services,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_HISTORY)] = 50,
) -> list[JobPass]:
    """The newest recorded passes of a job, newest first: those that did something, or failed."""
    async with connection(services.pool) as conn:
        await _published(conn, name)
        return [pass_of(run) for run in await job_runs(conn, name, limit)]


@post(
    "/tailrace/jobs/{name:str}/run",
    status_code=200,
    operation_class=takes(_WISH),
    responses=GOES_ON,
)
async def run_job(
    request: Request[Any, Any, Any], name: str, services: Services
) -> Response[JobWish]:
    """Run one pass of a job now, or with `dry_run` say what one would do; it never runs beside another.
    202 when it takes longer than half a minute: ask for the wish again by its id. 503 when no jobs process
    runs; then nothing will be done."""
    wish = await decode_body(request, _WISH, absent=b"{}")
    async with connection(services.pool) as conn:
        job = await _published(conn, name)
    if wish.dry_run and not job.has_dry_run:
        raise InvalidRequest(["body", "dry_run"], f"the job {name} has no dry run")
    return await ask_for_pass(services, name, dry_run=wish.dry_run)


@get("/tailrace/jobs/wishes/{wish_id:uuid}")
async def read_wish(wish_id: UUID, services: Services) -> JobWish:
    """What came of a wish; it is remembered for a day."""
    async with connection(services.pool) as conn:
        return await job_wishes.read_job_wish(conn, wish_id)


async def _published(conn: Conn, name: str) -> PublishedJob:
    jobs = await job_wishes.published_jobs(conn)
    if name not in jobs:
        known = f"there are {', '.join(jobs)}" if jobs else "no jobs process has run yet"
        raise NotFound(f"there is no job {name!r}; {known}")
    return jobs[name]


ROUTES: list[ControllerRouterHandler] = [read_jobs, read_history, run_job, read_wish]
