"""Task workers: who they are, and the websocket that hands them deferred task runs."""

import asyncio
import uuid
from typing import Any

import msgspec
import structlog
from litestar import Request, post, websocket
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.websockets import AUTH_TIMEOUT_SECONDS, Socket, receive_text, shake_hands
from app.services import Services
from app.wire.base import utc_now
from app.wire.runs import TaskRun
from app.wire.task_workers import Answer, Subscribe, TaskWorker, TaskWorkerQuery
from storage.errors import NotFound, StorageError
from storage.postgres import task_workers
from storage.postgres.pool import connection
from storage.postgres.task_runs import read_task_run

# The code with which the protocol of this socket says that a message was not the expected one.
PROTOCOL_VIOLATION = 4001
# Well within the time that a silent connection may hold a run.
SIGN_OF_LIFE_SECONDS = task_workers.HOLD.total_seconds() / 3

_log = structlog.get_logger("tailrace.task_workers")
_query_decoder = msgspec.json.Decoder(TaskWorkerQuery)
_subscribe_decoder = msgspec.json.Decoder(Subscribe)
_answer_decoder = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()


@post("/task_workers/filter", status_code=200, operation_class=takes(_query_decoder))
async def read_task_workers(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[TaskWorker]:
    """Connected task workers, of any key or of one of those asked for."""
    query = await decode_body(request, _query_decoder)
    keys = query.task_worker_filter.task_keys if query.task_worker_filter is not None else None
    async with connection(services.pool) as conn:
        return await task_workers.select_task_workers(conn, keys, now=utc_now())


@websocket("/task_runs/subscriptions/scheduled")
async def send_deferred_task_runs(
    socket: Socket, services: NamedDependency[Services], access: NamedDependency[Access]
) -> None:
    """Hand the client the deferred runs of its tasks, the next one when it took the one before."""
    if not await shake_hands(socket, access):
        return
    try:
        async with asyncio.timeout(AUTH_TIMEOUT_SECONDS):
            text = await receive_text(socket)
        if text is None:
            return
        subscribe = _subscribe_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, TimeoutError):
        await socket.close(
            PROTOCOL_VIOLATION,
            "Protocol violation: expected 'subscribe' message with 'keys' and 'client_id'",
        )
        return
    async with services.listener.subscribe(task_workers.CHANNEL) as told:
        await _Delivery(socket, services, subscribe, told).run()


class _Violation(Exception):
    """The client said something that it must not say now."""


class _Delivery:
    """One connection of a task worker. At most one run is under way to it."""

    def __init__(
        self,
        socket: Socket,
        services: Services,
        subscribe: Subscribe,
        told: "asyncio.Queue[str | None]",
    ) -> None:
        self._socket = socket
        self._services = services
        self._subscribe = subscribe
        self._told = told
        self._served = {key[: task_workers.PAYLOAD_CHARACTERS] for key in subscribe.keys}
        self._connection_id = uuid.uuid4()
        self._holds: uuid.UUID | None = None

    async def run(self) -> None:
        """Deliver until the client leaves."""
        heard = asyncio.create_task(receive_text(self._socket), name="task worker receive")
        try:
            await self._see()
            while True:
                run = await self._next()
                if run is not None:
                    await self._socket.send_data(_encoder.encode(run).decode())
                    answer = await self._answer(heard)
                elif await self._idle(heard):
                    answer = _answer_of(heard.result())
                    if answer is not None and answer.type == "ack":
                        raise _Violation("nothing to acknowledge")
                else:
                    continue
                if answer is None:
                    return
                if answer.type == "quit":
                    await self._socket.close()
                    return
                await self._acknowledged()
                heard = asyncio.create_task(receive_text(self._socket), name="task worker receive")
        except _Violation as violation:
            await self._socket.close(PROTOCOL_VIOLATION, f"Protocol violation: {violation}")
        finally:
            heard.cancel()
            await asyncio.gather(heard, return_exceptions=True)
            await self._leave()

    async def _next(self) -> TaskRun | None:
        """The next run, held for this connection; None when none waits."""
        # What was told before is seen by the statement that follows.
        while not self._told.empty():
            self._told.get_nowait()
        async with connection(self._services.pool) as conn:
            while True:
                now = utc_now()
                id = await task_workers.claim_deferred_task_run(
                    conn, self._subscribe.keys, self._connection_id, now=now
                )
                if id is None:
                    return None
                self._holds = id
                try:
                    run = await read_task_run(conn, id, now=now)
                except NotFound:
                    continue
                if run.state_type == "SCHEDULED":
                    return run
                # It was cancelled, or started otherwise.
                await task_workers.take_deferred_task_run(conn, id, self._connection_id)
                self._holds = None

    async def _answer(self, heard: "asyncio.Task[str | None]") -> Answer | None:
        """What the client says to the run; it may take its time as long as it is there."""
        while not heard.done():
            await asyncio.wait({heard}, timeout=SIGN_OF_LIFE_SECONDS)
            if not heard.done():
                await self._see()
        return _answer_of(heard.result())

    async def _idle(self, heard: "asyncio.Task[str | None]") -> bool:
        """Wait for a run to look for; true when the client said something or left instead."""
        told = asyncio.create_task(self._told.get(), name="task worker wait")
        try:
            while not heard.done():
                await asyncio.wait(
                    {heard, told},
                    timeout=SIGN_OF_LIFE_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not told.done():
                    # Perhaps what a connection held that died is free again.
                    await self._see()
                    return heard.done()
                key = told.result()
                if key is None or key in self._served:
                    return heard.done()
                told = asyncio.create_task(self._told.get(), name="task worker wait")
            return True
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)

    async def _see(self) -> None:
        async with connection(self._services.pool) as conn:
            await task_workers.see_task_worker(
                conn,
                self._connection_id,
                self._subscribe.client_id,
                self._subscribe.keys,
                holds=self._holds,
                now=utc_now(),
            )

    async def _acknowledged(self) -> None:
        if self._holds is not None:
            async with connection(self._services.pool) as conn:
                await task_workers.take_deferred_task_run(conn, self._holds, self._connection_id)
            self._holds = None

    async def _leave(self) -> None:
        try:
            async with connection(self._services.pool) as conn:
                if self._holds is not None:
                    await task_workers.give_back_deferred_task_run(
                        conn, self._holds, self._connection_id
                    )
                await task_workers.forget_task_worker(conn, self._connection_id, now=utc_now())
        except StorageError as error:
            # What this connection held is free again in a while.
            _log.warning("task worker not signed off", error=str(error))


def _answer_of(text: str | None) -> Answer | None:
    """What the client said; None when it has gone."""
    if text is None:
        return None
    try:
        return _answer_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise _Violation("expected 'ack' message") from None


ROUTES: list[ControllerRouterHandler] = [read_task_workers, send_deferred_task_runs]
