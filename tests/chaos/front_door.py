"""One address for several replicas, as a load balancer has it: each connection goes to the next one
that takes it, and breaks when that one dies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

BLOCK = 65536


class FrontDoor:
    """Give connections to these loopback ports in turn."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._taken = 0
        self._connections: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, ports: Sequence[int]) -> AsyncIterator[int]:
        """The port to connect to, during the block."""
        door = cls(ports)
        server = await asyncio.start_server(door._take, "127.0.0.1", 0)
        try:
            port: int = server.sockets[0].getsockname()[1]
            yield port
        finally:
            server.close()
            for task in door._connections:
                task.cancel()
            await asyncio.gather(*door._connections, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._carry(reader, writer)
        except OSError:
            pass  # One of the two is gone, so the other is let go.
        finally:
            self._connections.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await self._next()
        try:
            ways = (_copy(reader, behind_writer), _copy(behind_reader, writer))
            done, others = await asyncio.wait(
                [asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED
            )
            for task in others:
                task.cancel()
            await asyncio.gather(*done, *others, return_exceptions=True)
        finally:
            behind_writer.close()

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self._ports:
            port = self._ports[self._taken % len(self._ports)]
            self._taken += 1
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise ConnectionRefusedError


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()
