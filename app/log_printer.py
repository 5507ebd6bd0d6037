"""`tailrace logs show`: the lines of a run, read over HTTP from a running server."""

import asyncio
import contextlib
import datetime as dt
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import IO, TypeAlias

import httpx

from app.event_stream import ServerEvent, server_events
from storage.embedded.errors import CannotStart

PAGE = 200
# Of a stream that gives nothing: then it is asked whether the run has ended.
POLL_SECONDS = 1.0
# A server that is started again is back by then.
AWAY_SECONDS = 60.0
# The id of an event before the first line.
FROM_THE_BEGINNING = "0.0"
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})

Line: TypeAlias = dict[str, object]


class NoAnswer(CannotStart):
    """The server is not there, or cannot answer at the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run whose lines are shown; `kind` is the word of its routes. `flow_run_id` is None for a task
    run outside any flow run."""

    kind: str
    id: str
    flow_run_id: str | None

    @property
    def filter(self) -> Line:
        """The logs filter that gives its lines."""
        return {f"{self.kind}_run_id": {"any_": [self.id]}}


class LogClient:
    """Reads runs and logs from the API at `url`, which ends in `/api`."""

    def __init__(self, url: str, auth_string: str | None) -> None:
        user, _, password = (auth_string or "").partition(":")
        auth = httpx.BasicAuth(user, password) if auth_string else None
        self._url = url
        self._http = httpx.AsyncClient(base_url=url, auth=auth, timeout=60, trust_env=False)

    async def __aenter__(self) -> "LogClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def find_run(self, text: str) -> Run:
        """The flow or task run with this id, or the newest flow run with this name.

        Raises:
            CannotStart: there is none.
        """
        try:
            run_id = str(uuid.UUID(text))
        except ValueError:
            query = {
                "flow_runs": {"name": {"any_": [text]}},
                "sort": "EXPECTED_START_TIME_DESC",
                "limit": 1,
            }
            found = await self._ask("POST", "/flow_runs/filter", query)
            if isinstance(found, list) and found:
                found_id = str(found[0]["id"])
                return Run(kind="flow", id=found_id, flow_run_id=found_id)
        else:
            if await self._ask("GET", f"/flow_runs/{run_id}") is not None:
                return Run(kind="flow", id=run_id, flow_run_id=run_id)
            task_run = await self._ask("GET", f"/task_runs/{run_id}")
            if isinstance(task_run, dict):
                around = task_run["flow_run_id"]
                return Run(
                    kind="task", id=run_id, flow_run_id=None if around is None else str(around)
                )
        raise CannotStart(f"no run has the id or name {text!r}; `prefect flow-run ls` lists runs")

    async def read(self, run: Run, *, level: int) -> AsyncIterator[Line]:
        """Every line of the run from `level` up, in order."""
        offset = 0
        while True:
            page = await self._page(run, level, offset=offset)
            for line in page:
                yield line
            offset += len(page)
            if len(page) < PAGE:
                return

    async def download(self, run: Run, form: str, level: int, file: IO[bytes]) -> None:
        """Write the run's lines to `file` in one of the forms of the server.

        Raises:
            CannotStart: no answer, one that refuses, or one that broke off.
        """
        logs = run.filter
        if level > 0:
            logs["level"] = {"ge_": level}
        path = "/tailrace/logs/download"
        try:
            async with self._http.stream(
                "POST", path, json={"format": form, "logs": logs}
            ) as answer:
                if answer.status_code != 200:
                    text = (await answer.aread()).decode(errors="replace")[:300]
                    raise CannotStart(f"{self._url}{path} answers {answer.status_code}: {text}")
                async for part in answer.aiter_bytes():
                    file.write(part)
        except httpx.TransportError as error:
            raise CannotStart(
                f"the download broke off ({error or type(error).__name__}); what was written is not"
                " the whole"
            ) from error

    async def follow(self, run: Run, *, level: int) -> AsyncIterator[Line]:
        """Like `read`, and then what comes, until the run has ended and nothing more comes. A server
        that goes away for less than a minute is waited for; each line is given once.

        Raises:
            CannotStart: the server stays away, or refuses.
        """
        place = FROM_THE_BEGINNING
        seen: set[object] = set()
        if run.flow_run_id is None:
            # From the beginning the stream would go through the lines of all runs.
            place = await self._newest_place(run)
            async for line in self.read(run, level=level):
                seen.add(line["id"])
                yield line
        heard = time.monotonic()
        while True:
            fresh = ended = False
            try:
                # Asked first: who has ended wrote its lines before.
                ended = await self._has_ended(run)
                async with (
                    contextlib.aclosing(self._events(run, level, place)) as events,
                    contextlib.aclosing(self._until_quiet(run, events)) as told,
                ):
                    async for event in told:
                        heard = time.monotonic()
                        if event.kind == "lagged":
                            place = str(json.loads(event.data)["last_event_id"])
                            break
                        for line in json.loads(event.data or b"[]"):
                            fresh = True
                            if line["id"] not in seen:
                                yield line
                        place = event.id or place
                        if ended and event.id and not event.data:
                            # All that had been written by now has been given.
                            break
            except NoAnswer:
                if time.monotonic() > heard + AWAY_SECONDS:
                    raise
                ended = False
            if ended and not fresh:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _until_quiet(
        self, run: Run, events: AsyncIterator[ServerEvent]
    ) -> AsyncGenerator[ServerEvent, None]:
        """The events, until none has come for a while and the run has ended."""
        coming = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                done, _ = await asyncio.wait([coming], timeout=POLL_SECONDS)
                if not done:
                    if await self._has_ended(run):
                        return
                    continue
                event = coming.result()
                if event is None:
                    return
                yield event
                coming = asyncio.ensure_future(anext(events, None))
        finally:
            coming.cancel()
            await asyncio.wait([coming])

    async def _newest_place(self, run: Run) -> str:
        """The id of an event behind all lines that have been written."""
        async with contextlib.aclosing(self._events(run, 0, None)) as events:
            async for event in events:
                if event.id:
                    return event.id
        raise NoAnswer(f"the stream of lines at {self._url} ended at once")

    async def _events(
        self, run: Run, level: int, place: str | None
    ) -> AsyncGenerator[ServerEvent, None]:
        """What the server's stream of lines gives from a place on, or from now on."""
        path = "/tailrace/logs/stream"
        query: dict[str, str] = {}
        if place is not None:
            query["last_event_id"] = place
        if run.flow_run_id is not None:
            query["flow_run_id"] = run.flow_run_id
        if run.kind == "task":
            query["task_run_id"] = run.id
        if level > 0:
            query["level"] = str(level)
        try:
            async with self._http.stream("GET", path, params=query) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise self._refused(path, answer)
                async for event in server_events(answer.aiter_bytes()):
                    yield event
        except httpx.TransportError as error:
            raise self._away(error) from error

    async def _page(self, run: Run, level: int, *, offset: int) -> list[Line]:
        logs = run.filter
        if level > 0:
            logs["level"] = {"ge_": level}
        query = {"logs": logs, "sort": "TIMESTAMP_ASC", "limit": PAGE, "offset": offset}
        page = await self._ask("POST", "/logs/filter", query)
        return page if isinstance(page, list) else []

    async def _has_ended(self, run: Run) -> bool:
        found = await self._ask("GET", f"/{run.kind}_runs/{run.id}")
        return not isinstance(found, dict) or found.get("state_type") in TERMINAL

    async def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> list[Line] | Line | None:
        """The decoded answer; None for 404.

        Raises:
            CannotStart: no answer, or one that refuses.
        """
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise self._away(error) from error
        if answer.status_code == 404:
            return None
        if answer.status_code >= 400:
            raise self._refused(path, answer)
        decoded: list[Line] | Line = answer.json()
        return decoded

    def _away(self, error: httpx.TransportError) -> CannotStart:
        return NoAnswer(
            f"no server answers at {self._url} ({error or type(error).__name__}); start one with"
            " `tailrace up`, or name its directory with --data-dir or its port with --port"
        )

    def _refused(self, path: str, answer: httpx.Response) -> CannotStart:
        if answer.status_code == 401:
            return CannotStart(
                f"the server at {self._url} asks for a password; set TAILRACE_API_AUTH_STRING"
            )
        kind = NoAnswer if answer.status_code == 503 else CannotStart
        return kind(f"{self._url}{path} answers {answer.status_code}: {answer.text[:300]}")


def format_line(line: Line, *, as_json: bool) -> str:
    """One line for the terminal, or its JSON as the API gave it."""
    if as_json:
        return json.dumps(line, ensure_ascii=False)
    at = dt.datetime.fromisoformat(str(line["timestamp"])).astimezone(dt.UTC)
    number = line["level"]
    level = next((n.upper() for n, v in LEVELS.items() if v == number), f"LEVEL {number}")
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} | {level:<8} | {line['name']} - {line['message']}"


def parse_level(text: str) -> int:
    """The number of a level given by name or number.

    Raises:
        ValueError: it is neither.
    """
    return LEVELS[text.lower()] if text.lower() in LEVELS else int(text)
