"""When each run was last heard: gathered in memory, written every second in one statement.

A sign is anything that a run's process sends: log lines, events about it or its task runs, of which
heartbeats are remembered apart. (State changes and updates need no sign: the run's row tells.) A
run counts once per second however much it says.

Whoever opens this also says that somebody listens. Silence means something only while somebody
does: `flow_run_watch.since` is when listening last began after a break, be it that no API process
ran, that PostgreSQL was away, that it lost the table in a crash, or that there was no room here.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import structlog

from app.wire.base import NIL_UUID, utc_now
from app.wire.events import RESOURCE_ID, RESOURCE_ROLE, Event
from storage.errors import StorageError
from storage.postgres.pool import Pool, connection
from storage.postgres.statements import statement

WRITE_SECONDS = 1.0
# With nothing to write, so often it is said that somebody listens.
LISTENING_SECONDS = 5.0
# A break in listening that is longer than this makes silence begin anew.
LONGEST_BREAK = dt.timedelta(seconds=30)
# Runs that are heard between two writes; about 20 MB. Beyond it silence begins anew for all.
MAX_RUNS = 100_000

_WRITE_SIGNS = statement("write_signs")
_LISTEN = statement("listen_for_signs")
_FLOW_RUN = "prefect.flow-run."
_TASK_RUN = "prefect.task-run."
_HEARTBEAT = "prefect.flow-run.heartbeat"

_log = structlog.get_logger("tailrace.signs")


@dataclass(slots=True)
class _Heard:
    at: dt.datetime
    beat: dt.datetime | None = None


class SignsOfLife:
    """What this process has heard since it last wrote."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # By run id, or by the event's resource id, which is parsed when it is written.
        self._heard: dict[uuid.UUID | str, _Heard] = {}
        self._missed = False

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, pool: Pool) -> AsyncIterator["SignsOfLife"]:
        """Write what is heard until the block ends."""
        signs = cls(pool)
        task = asyncio.create_task(signs._run(), name="signs of life")
        try:
            yield signs
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await signs.write()

    def hear_runs(self, run_ids: Iterable[uuid.UUID]) -> None:
        """Log lines of these runs have come."""
        now = utc_now()
        for run_id in run_ids:
            if run_id != NIL_UUID:
                self._hear(run_id, now)

    def hear_event(self, event: Event) -> None:
        """An event of a client has come; it is a sign if it is about a flow run or a task run."""
        name = event.event
        if name.startswith(_FLOW_RUN):
            beat = event.occurred if name == _HEARTBEAT else None
            self._hear(event.resource[RESOURCE_ID], utc_now(), beat)
        elif name.startswith(_TASK_RUN):
            for resource in event.related:
                if resource[RESOURCE_ROLE] == "flow-run":
                    self._hear(resource[RESOURCE_ID], utc_now())
                    return

    def _hear(self, run: uuid.UUID | str, at: dt.datetime, beat: dt.datetime | None = None) -> None:
        heard = self._heard.get(run)
        if heard is None:
            if len(self._heard) >= MAX_RUNS:
                self._missed = True
                return
            self._heard[run] = _Heard(at, beat)
            return
        heard.at = at
        if beat is not None and (heard.beat is None or beat > heard.beat):
            heard.beat = beat

    async def write(self) -> None:
        """Write what was heard. What cannot be written is kept for the next time."""
        heard, missed = self._heard, self._missed
        self._heard, self._missed = dict[uuid.UUID | str, _Heard](), False
        rows = _rows(heard)
        try:
            async with connection(self._pool) as conn:
                await conn.execute(_LISTEN, LONGEST_BREAK, missed)
                if rows:
                    ids = sorted(rows)  # All processes lock rows in one order.
                    await conn.execute(
                        _WRITE_SIGNS,
                        ids,
                        [rows[run_id].at for run_id in ids],
                        [rows[run_id].beat for run_id in ids],
                    )
        except StorageError as error:
            _log.warning("signs of life wait", runs=len(rows), error=str(error))
            self._missed |= missed
            for run, sign in heard.items():
                if run not in self._heard:
                    self._hear(run, sign.at, sign.beat)

    async def _run(self) -> None:
        await self.write()
        waited = 0.0
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            waited += WRITE_SECONDS
            if self._heard or self._missed or waited >= LISTENING_SECONDS:
                await self.write()
                waited = 0.0


def _rows(heard: dict[uuid.UUID | str, _Heard]) -> dict[uuid.UUID, _Heard]:
    rows: dict[uuid.UUID, _Heard] = {}
    for run, sign in heard.items():
        run_id = run if isinstance(run, uuid.UUID) else _run_id_of(run)
        if run_id is None:
            continue
        known = rows.get(run_id)
        if known is None:
            rows[run_id] = sign
        else:
            beats = [beat for beat in (known.beat, sign.beat) if beat is not None]
            rows[run_id] = _Heard(max(known.at, sign.at), max(beats, default=None))
    return rows


def _run_id_of(resource_id: str) -> uuid.UUID | None:
    """None for what only looks like a flow run: anybody may send any event."""
    try:
        return uuid.UUID(resource_id.removeprefix(_FLOW_RUN))
    except ValueError:
        return None
