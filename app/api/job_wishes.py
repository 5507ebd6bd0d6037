"""Ask the jobs processes for a pass, and wait for what comes of it for as long as a person does."""

import asyncio
import time

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec

from app.services import Services
from app.wire.base import new_id
from app.wire.jobs import JobWish
from storage.errors import Unavailable
from storage.postgres import job_wishes
from storage.postgres.pool import connection

# A process that lives takes a wish at once, or when it looks the next time.
TAKEN_SECONDS = 5.0
ENDED_SECONDS = 30.0
# A dry run takes some milliseconds, a pass mostly some seconds.
FIRST_LOOK_SECONDS = 0.05
LONGEST_LOOK_SECONDS = 0.5
# What a route that asks for a pass may answer besides 200, for the OpenAPI document.
GOES_ON = {
    202: ResponseSpec(
        JobWish, description="It goes on; ask for the wish by its id.", generate_examples=False
    )
}


async def ask_for_pass(services: Services, name: str, *, dry_run: bool) -> Response[JobWish]:
    """One pass of a job, or a dry run, by whichever process takes it: 200 when it has ended, 202 when it
    goes on after half a minute.

    Raises:
        Unavailable: no process took it; it will not be done.
    """
    wish_id = new_id()
    async with connection(services.pool) as conn:
        await job_wishes.wish_for_job(conn, wish_id, name, dry_run=dry_run)
    begun = time.monotonic()
    pause = FIRST_LOOK_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_LOOK_SECONDS)
        waited = time.monotonic() - begun
        async with connection(services.pool) as conn:
            wish = await job_wishes.read_job_wish(conn, wish_id)
            if wish.ended or (waited > ENDED_SECONDS and wish.state == "running"):
                return Response(wish, status_code=200 if wish.ended else 202)
            if wish.state == "waiting" and waited > TAKEN_SECONDS:
                withdrawn = await job_wishes.withdraw_job_wish(conn, wish_id)
                if withdrawn:
                    raise Unavailable(
                        "jobs",
                        "no jobs process took it, and it will not be done; start one with"
                        " `tailrace up` or `tailrace jobs`",
                    )
