"""Clean-ups over the worker channel: handed to a worker, and its answers taken."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from app.orchestration.worker_cleanup import operate, reserve_next
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.worker_cleanup import (
    AckFrame,
    MessageFrame,
    Operation,
    OperationResult,
    ReleaseFrame,
    RenewFrame,
    ResultFrame,
)
from storage.errors import StorageError
from storage.postgres.worker_cleanup import Server

AnswerFrame: TypeAlias = AckFrame | ReleaseFrame | RenewFrame

_log = structlog.get_logger("tailrace.worker_channel")


def refuse(frame: AnswerFrame) -> ResultFrame:
    """The result for a worker that takes no clean-ups."""
    result = OperationResult(
        request_frame_id=frame.id,
        message_id=frame.payload.message_id,
        operation=_operation(frame),
        status="unauthorized",
        reason="cleanup_delivery_not_accepted",
    )
    return _framed(result)


class Cleanups:
    """The clean-ups of one connection of a worker that takes them. Their frames leave by `send`."""

    def __init__(
        self,
        services: Services,
        server: Server,
        send: Callable[[MessageFrame | ResultFrame], Awaitable[None]],
    ) -> None:
        self._services = services
        self._server = server
        self._send = send
        self._room = asyncio.Event()
        # What the worker gives back is not handed to it again before it has its answer.
        self._turn = asyncio.Lock()

    async def hand_out(self, told: "asyncio.Queue[str | None]") -> None:
        """Send what there is and the worker has room for, without end. What is sent is reserved: if
        it does not reach the worker, others get it after its lease.

        Raises:
            StorageError: what waits cannot be read.
        """
        while True:
            async with self._turn:
                self._room.clear()
                while not told.empty():
                    told.get_nowait()
                reserved = await reserve_next(self._services.pool, self._server, now=utc_now())
                if reserved is not None:
                    frame = MessageFrame(id=new_id(), sent_at=utc_now(), payload=reserved)
                    await self._send(frame)
                    continue
            await self._woken(told)

    async def _woken(self, told: "asyncio.Queue[str | None]") -> None:
        """Wait until something may wait for this worker, or it has room again."""
        room = asyncio.create_task(self._room.wait(), name="worker cleanup room")
        try:
            while not room.done():
                news = asyncio.create_task(told.get(), name="worker cleanup news")
                try:
                    await asyncio.wait({room, news}, return_when=asyncio.FIRST_COMPLETED)
                    if news.done() and news.result() in (None, str(self._server.work_pool_id)):
                        return
                finally:
                    news.cancel()
                    await asyncio.gather(news, return_exceptions=True)
        finally:
            room.cancel()
            await asyncio.gather(room, return_exceptions=True)

    async def answer(self, frame: AnswerFrame) -> None:
        """Take what the worker says of a clean-up, and tell it what came of that."""
        async with self._turn:
            result = await self._result(frame)
            await self._send(_framed(result))
        if result.status == "dead_lettered":
            _log.warning("clean-up given up", message_id=str(result.message_id))
        self._room.set()

    async def _result(self, frame: AnswerFrame) -> OperationResult:
        operation = _operation(frame)
        try:
            return await operate(
                self._services.pool,
                operation,
                request_frame_id=frame.id,
                work_pool_id=self._server.work_pool_id,
                message_id=frame.payload.message_id,
                token=frame.payload.reservation_token,
                reason=frame.payload.reason if isinstance(frame, ReleaseFrame) else None,
                now=utc_now(),
            )
        except StorageError as error:
            _log.warning("clean-up not written", operation=operation, error=str(error))
            return OperationResult(
                request_frame_id=frame.id,
                message_id=frame.payload.message_id,
                operation=operation,
                status="error",
                reason="cleanup_queue_operation_failed",
            )


def _operation(frame: AnswerFrame) -> Operation:
    match frame:
        case AckFrame():
            return "ack"
        case ReleaseFrame():
            return "release"
        case RenewFrame():
            return "renew"


def _framed(result: OperationResult) -> ResultFrame:
    return ResultFrame(id=new_id(), sent_at=utc_now(), payload=result)
