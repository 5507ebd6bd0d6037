"""`tailrace logs show`: the lines of a run, read over HTTP from a running server."""

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import IO, TypeAlias

import httpx

from storage.embedded.errors import CannotStart

PAGE = 200
POLL_SECONDS = 1.0
# Lines of several processes arrive out of order: a follower looks back this far each time.
LOOK_BACK = dt.timedelta(seconds=30)
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})

Line: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run whose lines are shown; `kind` is the word of its routes."""

    kind: str
    id: str

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
                return Run(kind="flow", id=str(found[0]["id"]))
        else:
            for kind in ("flow", "task"):
                if await self._ask("GET", f"/{kind}_runs/{run_id}") is not None:
                    return Run(kind=kind, id=run_id)
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
        """Like `read`, and then what comes, until the run has ended and nothing more comes."""
        seen: dict[object, dt.datetime] = {}
        newest = dt.datetime.min.replace(tzinfo=dt.UTC)
        while True:
            ended = await self._has_ended(run)
            fresh = 0
            async for line in self._read_after(run, level, newest):
                if line["id"] in seen:
                    continue
                fresh += 1
                at = dt.datetime.fromisoformat(str(line["timestamp"]))
                seen[line["id"]] = at
                newest = max(newest, at)
                yield line
            if ended and not fresh:
                return
            horizon = _earlier(newest)
            seen = {key: at for key, at in seen.items() if at >= horizon}
            await asyncio.sleep(POLL_SECONDS)

    async def _read_after(self, run: Run, level: int, newest: dt.datetime) -> AsyncIterator[Line]:
        offset = 0
        while True:
            page = await self._page(run, level, offset=offset, after=_earlier(newest))
            for line in page:
                yield line
            offset += len(page)
            if len(page) < PAGE:
                return

    async def _page(
        self, run: Run, level: int, *, offset: int, after: dt.datetime | None = None
    ) -> list[Line]:
        logs = run.filter
        if level > 0:
            logs["level"] = {"ge_": level}
        if after is not None and after.year > 1:
            logs["timestamp"] = {"after_": after.isoformat()}
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
            raise CannotStart(
                f"no server answers at {self._url} ({error or type(error).__name__}); start one with"
                " `tailrace up`, or name its directory with --data-dir or its port with --port"
            ) from error
        if answer.status_code == 404:
            return None
        if answer.status_code == 401:
            raise CannotStart(
                f"the server at {self._url} asks for a password; set TAILRACE_API_AUTH_STRING"
            )
        if answer.status_code >= 400:
            raise CannotStart(
                f"{self._url}{path} answers {answer.status_code}: {answer.text[:300]}"
            )
        decoded: list[Line] | Line = answer.json()
        return decoded


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


def _earlier(time: dt.datetime) -> dt.datetime:
    return time - LOOK_BACK if time.year > 1 else time
