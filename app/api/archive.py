"""Tailrace's own routes of the log tiers: what they hold, and whether the archive is whole."""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from app.api.errors import InvalidRequest
from app.api.job_wishes import GOES_ON, ask_for_pass
from app.services import Services
from app.wire.archive import ArchivePartitions, ArchiveVerifications, IcebergStatus, LogTiers
from app.wire.base import in_utc
from app.wire.jobs import JobWish
from storage.archive import claims
from storage.logs.holdings import partitions, tiers
from storage.postgres import job_wishes
from storage.postgres.pool import connection
from storage.postgres.verifications import last_verification

VERIFY = "log-verify"


@get("/tailrace/tiers")
async def read_tiers(services: Services) -> LogTiers:
    """Rows, bytes, oldest and newest line of the tiers, and what as many lines take in a database."""
    async with connection(services.pool) as conn:
        return await tiers(conn)


@get("/tailrace/archive/partitions")
async def read_partitions(
    services: Services,
    start: Annotated[str | None, QueryParameter(name="from")] = None,
    end: Annotated[str | None, QueryParameter(name="to")] = None,
    by: Literal["hour", "day"] = "day",
) -> ArchivePartitions:
    """Rows, bytes and segments by the hour or the day (UTC) of the offload, from `from` until before
    `to`: the newest 2,000."""
    first, last = _time("from", start), _time("to", end)
    if first is not None and last is not None and last <= first:
        raise InvalidRequest(["query", "to"], "it must be after `from`")
    async with connection(services.pool) as conn:
        return await partitions(conn, first, last, by=by)


def _time(name: str, text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        return in_utc(msgspec.convert(text, dt.datetime))
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRequest(
            ["query", name], "it must be a time, as in 2026-11-24T00:00:00Z"
        ) from error


@get("/tailrace/archive/iceberg")
async def read_iceberg(services: Services) -> IcebergStatus:
    """How far the Iceberg tables are. Where they lie and what they hold says `tailrace archive status`."""
    async with connection(services.pool) as conn:
        backlog = await claims.backlog(conn)
    archive = services.archive
    return IcebergStatus(
        published=archive is not None,
        every_minutes=archive.every_minutes if archive else None,
        namespace=archive.namespace if archive else None,
        final=backlog.final,
        waiting=backlog.waiting,
        waiting_since=backlog.waiting_since,
        spanning=backlog.spanning,
        held=backlog.held,
        begun=backlog.begun,
    )


@get("/tailrace/archive/verification")
async def read_verification(services: Services) -> ArchiveVerifications:
    """The last comparison of the segments with the bucket, and the next one if it is being made."""
    async with connection(services.pool) as conn:
        return ArchiveVerifications(
            last=await last_verification(conn),
            running=await job_wishes.running_job_wish(conn, VERIFY),
        )


@post("/tailrace/archive/verification", status_code=200, responses=GOES_ON)
async def verify(services: Services) -> Response[JobWish]:
    """Compare the segments with the objects in the bucket now, by a jobs process, without reading their
    contents: a pass of the job `log-verify`, answered as `POST /tailrace/jobs/{name}/run` does."""
    return await ask_for_pass(services, VERIFY, dry_run=False)


ROUTES: list[ControllerRouterHandler] = [
    read_tiers,
    read_partitions,
    read_iceberg,
    read_verification,
    verify,
]
