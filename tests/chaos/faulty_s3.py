"""An S3 that misbehaves on demand: a proxy before a real one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Fault: TypeAlias = Literal["hangs", "answers 500", "is busy", "cuts bodies short", "refuses"]

BLOCK = 65536
_ANSWER = (
    "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n"
    "Connection: close\r\n\r\n{body}"
)


def _error(status: str, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as asked</Message></Error>"
    return _ANSWER.format(status=status, length=len(body), body=body).encode()


class FaultyS3:
    """Passes everything on until it has a fault. `port` is its own, on the loopback."""

    def __init__(self, host: str, port: int) -> None:
        self._behind = (host, port)
        self._fault: Fault | None = None
        self._next: Fault | None = None
        self._passes_before_next: int | None = None
        self._pause = 0.0
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, endpoint_url: str) -> AsyncIterator["FaultyS3"]:
        """A proxy during the block."""
        url = urlsplit(endpoint_url)
        proxy = cls(url.hostname or "127.0.0.1", url.port or 80)
        await proxy._listen()
        try:
            yield proxy
        finally:
            await proxy._close()

    async def become(self, fault: Fault | None) -> None:
        """Have this fault from now on, for open connections too."""
        await self._close()
        self._fault = fault
        self._passes_before_next = None
        if fault != "refuses":
            await self._listen()

    def become_after(self, passed: int, fault: Fault) -> None:
        """Have this fault as soon as so many more bytes have passed, either way; connections that are
        open then break off."""
        self._passes_before_next = passed
        self._next = fault

    def slow_down(self, pause: float) -> None:
        """Wait so many seconds after each block of `BLOCK` bytes, or fewer, that passes."""
        self._pause = pause

    @property
    def has_fault(self) -> bool:
        """Whether it does not just pass everything on."""
        return self._fault is not None

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._connections.values():
            writer.transport.abort()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not in a task")
        self._connections[task] = writer
        try:
            await self._misbehave(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # Either end has gone, which ends the connection.
        finally:
            del self._connections[task]
            writer.close()

    async def _misbehave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self._fault:
            case "hangs":
                while await reader.read(BLOCK):
                    pass
            case "answers 500":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_error("500 Internal Server Error", "InternalError"))
                await writer.drain()
            case "is busy":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_error("503 Service Unavailable", "SlowDown"))
                await writer.drain()
            case _:
                await self._pass_on(reader, writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(*self._behind)
        back = self._half_of_a_body if self._fault == "cuts bodies short" else self._copy
        ways = [
            asyncio.create_task(self._copy(reader, behind_writer)),
            asyncio.create_task(back(behind_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            behind_writer.close()

    async def _half_of_a_body(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        writer.write(head + await reader.readexactly(length // 2))
        await writer.drain()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(self._pause)
            if self._passes_before_next is not None:
                self._passes_before_next -= len(data)
                if self._passes_before_next <= 0:
                    self._break_off()

    def _break_off(self) -> None:
        self._passes_before_next = None
        self._fault = self._next
        if self._fault == "refuses" and self._server is not None:
            self._server.close()
        for writer in self._connections.values():
            writer.transport.abort()
