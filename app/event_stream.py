"""Server-sent events as bytes come in, for a client of `GET /api/tailrace/logs/stream`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event. `id` says where to go on behind it; `data` is empty when there is nothing but an id."""

    kind: str = "message"
    id: str = ""
    data: bytes = b""


async def server_events(parts: AsyncIterator[bytes]) -> AsyncIterator[ServerEvent]:
    """The events in these bytes, each when it is whole; what was cut off at the end is not given.

    Lines end with a line feed only, as the server writes them: other ends of lines may be in the data.
    """
    waiting = b""
    async for part in parts:
        *whole, waiting = (waiting + part).split(b"\n\n")
        for text in whole:
            yield _event(text)


def _event(text: bytes) -> ServerEvent:
    fields: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        name, _, value = line.partition(b":")
        fields[name] = value.removeprefix(b" ")
    return ServerEvent(
        kind=fields.get(b"event", b"message").decode(),
        id=fields.get(b"id", b"").decode(),
        data=fields.get(b"data", b""),
    )
