"""Frames on the blocking socket of a process that answers SQL."""

import socket
import threading
from typing import TypeVar

import msgspec

from storage.sql.messages import HEADER, PIECE_BYTES, Kind

T = TypeVar("T")


class Frames:
    """Receives in one thread, sends from any."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        """Send one frame. Raises OSError when nobody listens any more."""
        with self._sending:
            self._socket.sendall(HEADER.pack(kind, len(body)))
            self._socket.sendall(body)

    def send_pieces(self, body: memoryview) -> None:
        """Send a result in pieces."""
        for start in range(0, len(body), PIECE_BYTES):
            self.send(Kind.BODY, body[start : start + PIECE_BYTES])

    def receive(self) -> tuple[Kind, bytes]:
        """The next frame. Raises EOFError when there will be none."""
        kind, length = HEADER.unpack(self._exactly(HEADER.size))
        return Kind(kind), self._exactly(length)

    def expect(self, kind: Kind) -> bytes:
        """The body of the next frame, which must be of this kind."""
        received, body = self.receive()
        if received != kind:
            raise ValueError(f"a frame {received.name} came instead of {kind.name}")
        return body

    def expect_struct(self, kind: Kind, type_: type[T]) -> T:
        """The same, decoded."""
        return msgspec.msgpack.decode(self.expect(kind), type=type_)

    def _exactly(self, length: int) -> bytes:
        body = bytearray(length)
        view = memoryview(body)
        while view:
            received = self._socket.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]
        return bytes(body)
