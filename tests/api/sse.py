"""A reader of server-sent events, as a browser's EventSource reads them."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from app.wire.base import Json

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its kind, its data, and the id that was known when it came."""

    kind: str
    data: list[Json] | Json
    id: str


@dataclass(slots=True)
class EventSource:
    """A stream that is open. `last_event_id` is what a browser would send when it comes again."""

    lines: AsyncIterator[str]
    last_event_id: str = ""
    comments: int = 0
    _fields: dict[str, str] = field(default_factory=dict)

    async def next(self, *, within: float = 10.0) -> Event:
        """The next event. Raises StopAsyncIteration at the end of the stream."""
        async with asyncio.timeout(within):
            while True:
                line = await anext(self.lines)
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    self._fields[name] = value
                else:
                    fields = self._fields
                    self._fields = {}
                    self.last_event_id = fields.get("id", self.last_event_id)
                    if "data" in fields:
                        data = json.loads(fields["data"])
                        return Event(fields.get("event", "message"), data, self.last_event_id)

    async def until_idle(self) -> str:
        """Read until the stream says that nothing is new; gives the id."""
        before = self.comments
        async with asyncio.timeout(10):
            while self.comments == before or "id" not in self._fields:
                line = await anext(self.lines)
                self.comments += line.startswith(":")
                name, _, value = line.partition(": ")
                self._fields[name] = value
        self.last_event_id = self._fields["id"]
        self._fields = {}
        return self.last_event_id

    async def messages(self, count: int) -> list[str]:
        """The messages of the next `count` lines or more."""
        found: list[str] = []
        while len(found) < count:
            event = await self.next()
            assert event.kind == "lines", event
            found += [str(line["message"]) for line in event.data if isinstance(line, dict)]
        return found


async def lines_of(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    """The lines of a stream. They end at CR, LF or CRLF and nowhere else, while Python, and httpx with
    it, ends them at U+2028 and others too."""
    rest = ""
    after_cr = False
    async for part in parts:
        text = part.removeprefix("\n") if after_cr else part
        after_cr = part.endswith("\r")
        *lines, rest = _LINE_END.split(rest + text)
        for line in lines:
            yield line


@contextlib.asynccontextmanager
async def follow(
    client: httpx.AsyncClient, *, last_event_id: str | None = None, **query: object
) -> AsyncIterator[EventSource]:
    """`GET /tailrace/logs/stream`, open until the block ends."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    async with client.stream(
        "GET",
        "/tailrace/logs/stream",
        params=query,  # pyrefly: ignore[bad-argument-type]
        headers=headers,
    ) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield EventSource(lines_of(response.aiter_text()))
