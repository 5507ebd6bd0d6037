"""The worker channel: a websocket on which a worker says that it is there and hears of its pool."""

import asyncio
from typing import TypeAlias

import msgspec
import structlog
from litestar import websocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.websockets import (
    AUTH_TIMEOUT_SECONDS,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    Socket,
    receive_text,
    shake_hands,
)
from app.api.worker_cleanup import Cleanups, refuse
from app.orchestration.work_pools import CHANNEL
from app.orchestration.worker_channel import (
    Admitted,
    ChannelRefused,
    admit_worker,
    hear_on_channel,
)
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.work_pools import WorkPool
from app.wire.worker_channel import (
    CLEANUP_DELIVERY,
    REQUIRED,
    VERSION,
    Capability,
    CloseReason,
    Heartbeat,
    HeartbeatFrame,
    Hello,
    HelloFrame,
    QueueName,
    Ready,
    ReadyFrame,
    Snapshot,
    SnapshotFrame,
    SnapshotReason,
)
from app.wire.worker_cleanup import AckFrame, MessageFrame, ReleaseFrame, RenewFrame, ResultFrame
from storage.errors import InvalidValue, StorageError
from storage.postgres.pool import connection
from storage.postgres.work_pools import find_pool
from storage.postgres.worker_cleanup import CHANNEL as CLEANUPS_CHANNEL
from storage.postgres.worker_cleanup import Server

INTERNAL_ERROR = 1011
# Changes that follow one another this closely are told together.
TOGETHER_SECONDS = 0.05

_CODES: dict[CloseReason, int] = {
    "authentication_failed": POLICY_VIOLATION,
    "authorization_failed": POLICY_VIOLATION,
    "unsupported_version": POLICY_VIOLATION,
    "protocol_error": PROTOCOL_ERROR,
    "heartbeat_persistence_failed": INTERNAL_ERROR,
    "transient_server_error": INTERNAL_ERROR,
}
_FromWorker: TypeAlias = HelloFrame | HeartbeatFrame | AckFrame | ReleaseFrame | RenewFrame
_ToWorker: TypeAlias = ReadyFrame | SnapshotFrame | MessageFrame | ResultFrame
_decoder = msgspec.json.Decoder(_FromWorker)
_encoder = msgspec.json.Encoder()
_log = structlog.get_logger("tailrace.worker_channel")


class _Close(Exception):
    """The channel is to be closed for this reason."""

    def __init__(self, reason: CloseReason) -> None:
        super().__init__(reason)
        self.reason: CloseReason = reason


@websocket("/work_pools/{pool_name:str}/workers/connect")
async def connect_worker(
    socket: Socket,
    pool_name: FromPath[str],
    services: NamedDependency[Services],
    access: NamedDependency[Access],
) -> None:
    """Heartbeats of a worker, and snapshots of its pool: one at once, one after every change."""
    if not await shake_hands(socket, access, old_clients=False, reason="authentication_failed"):
        return
    try:
        hello = await _hello(socket)
        if hello is None:
            return
        # Follow first: what changes after the first snapshot is told by the second.
        async with services.listener.subscribe(CHANNEL) as told:
            admitted = await _admit(services, pool_name, hello)
            await _Channel(socket, services, hello, admitted, told).run()
    except _Close as close:
        await socket.close(_CODES[close.reason], close.reason)


async def _hello(socket: Socket) -> Hello | None:
    """The worker's first words; None when it has gone."""
    try:
        async with asyncio.timeout(AUTH_TIMEOUT_SECONDS):
            text = await receive_text(socket)
    except TimeoutError:
        raise _Close("transient_server_error") from None
    if text is None:
        return None
    frame = _frame(text)
    if not isinstance(frame, HelloFrame):
        raise _Close("protocol_error")
    return frame.payload


async def _admit(services: Services, pool_name: str, hello: Hello) -> Admitted:
    try:
        admitted = await admit_worker(services.pool, pool_name, hello, now=utc_now())
    except ChannelRefused as refused:
        raise _Close(refused.reason) from None
    except InvalidValue:
        raise _Close("protocol_error") from None
    except StorageError as error:
        _log.warning("worker not admitted", work_pool=pool_name, error=str(error))
        raise _Close("transient_server_error") from error
    services.events.announce(admitted.event_ids)
    return admitted


class _Channel:
    """One connection of a worker that was admitted."""

    def __init__(
        self,
        socket: Socket,
        services: Services,
        hello: Hello,
        admitted: Admitted,
        told: "asyncio.Queue[str | None]",
    ) -> None:
        self._socket = socket
        self._services = services
        self._hello = hello
        self._admitted = admitted
        self._told = told
        self._pool_id = admitted.pool.id
        self._pool_name = admitted.pool.name
        self._updated = admitted.pool.updated
        self._sequence = 1
        # One wish is enough: whoever grants it looks at the pool as it is then.
        self._wished: asyncio.Queue[SnapshotReason] = asyncio.Queue(1)
        self._cleanups = self._cleanups_of_worker()

    async def run(self) -> None:
        """Until the worker leaves; raises _Close when it must."""
        await self._send(self._ready())
        listening = asyncio.create_task(self._listen(), name="worker channel listen")
        tasks = {
            listening,
            asyncio.create_task(self._follow(), name="worker channel follow"),
            asyncio.create_task(self._tell(), name="worker channel tell"),
        }
        if self._cleanups is not None:
            handing = self._hand_out(self._cleanups)
            tasks.add(asyncio.create_task(handing, name="worker channel clean-ups"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # What the others could not send to a worker that left is no failure.
        for task in {listening} & done or done:
            task.result()

    def _cleanups_of_worker(self) -> Cleanups | None:
        """What it is handed out, if it takes clean-ups at all."""
        if not self._hello.cleanup_concurrency:
            return None
        server = Server(
            consumer_id=self._hello.consumer_id,
            work_pool_id=self._pool_id,
            kinds=self._hello.handled_cleanup_kinds,
            work_queue_ids=[queue.id for queue in self._admitted.queues],
            concurrency=self._hello.cleanup_concurrency,
        )
        return Cleanups(self._services, server, self._send)

    def _ready(self) -> ReadyFrame:
        accepted: list[Capability] = [*REQUIRED]
        if self._cleanups is not None:
            accepted.append(CLEANUP_DELIVERY)
        asked = dict.fromkeys(self._hello.requested_capabilities)
        ready = Ready(
            consumer_id=self._hello.consumer_id,
            selected_channel_version=VERSION,
            effective_heartbeat_interval_seconds=self._hello.heartbeat_interval_seconds,
            accepted_capabilities=accepted,
            rejected_capabilities=[each for each in asked if each not in accepted],
            effective_max_cleanup_concurrency=self._hello.cleanup_concurrency,
            resolved_work_queues=[
                QueueName(id=queue.id, name=queue.name) for queue in self._admitted.queues
            ],
            initial_snapshot=self._snapshot(self._admitted.pool, "initial"),
        )
        return ReadyFrame(id=new_id(), sent_at=utc_now(), payload=ready)

    def _snapshot(self, pool: WorkPool, reason: SnapshotReason) -> Snapshot:
        return Snapshot(snapshot_sequence=self._sequence, reason=reason, work_pool=pool)

    async def _listen(self) -> None:
        """Take in what the worker says, until it leaves."""
        while (text := await receive_text(self._socket)) is not None:
            match frame := _frame(text):
                case HelloFrame():
                    raise _Close("protocol_error")
                case HeartbeatFrame():
                    await self._hear(frame.payload)
                case _ if self._cleanups is not None:
                    await self._cleanups.answer(frame)
                case _:
                    await self._send(refuse(frame))

    async def _hear(self, heartbeat: Heartbeat) -> None:
        if (heartbeat.consumer_id, heartbeat.worker_name) != (
            self._hello.consumer_id,
            self._hello.worker_name,
        ):
            raise _Close("protocol_error")
        try:
            heard = await hear_on_channel(
                self._services.pool, self._pool_name, heartbeat, now=utc_now()
            )
        except StorageError as error:
            _log.warning("heartbeat not kept", work_pool=self._pool_name, error=str(error))
            raise _Close("heartbeat_persistence_failed") from error
        self._services.events.announce(heard.event_ids)
        if heard.pool_updated != self._updated or heard.became_ready:
            self._wish("heartbeat_reconciliation")

    async def _follow(self) -> None:
        """Wish for a snapshot whenever the pool was changed, or may have been."""
        while True:
            told = await self._told.get()
            if told is None or told == self._pool_id.hex:
                self._wish("work_pool_updated")

    def _wish(self, reason: SnapshotReason) -> None:
        if self._wished.empty():
            self._wished.put_nowait(reason)

    async def _tell(self) -> None:
        while True:
            reason = await self._wished.get()
            await asyncio.sleep(TOGETHER_SECONDS)
            while not self._wished.empty():
                reason = self._wished.get_nowait()
            try:
                async with connection(self._services.pool) as conn:
                    pool = await find_pool(conn, self._pool_id)
            except StorageError as error:
                _log.warning("pool not read", work_pool=self._pool_name, error=str(error))
                raise _Close("transient_server_error") from error
            if pool is None:
                raise _Close("authorization_failed")
            self._sequence += 1
            self._updated = pool.updated
            snapshot = self._snapshot(pool, reason)
            await self._send(SnapshotFrame(id=new_id(), sent_at=utc_now(), payload=snapshot))

    async def _hand_out(self, cleanups: Cleanups) -> None:
        async with self._services.listener.subscribe(CLEANUPS_CHANNEL) as told:
            try:
                await cleanups.hand_out(told)
            except StorageError as error:
                _log.warning("clean-ups not read", work_pool=self._pool_name, error=str(error))
                raise _Close("transient_server_error") from error

    async def _send(self, frame: _ToWorker) -> None:
        await self._socket.send_data(_encoder.encode(frame).decode())


def _frame(text: str) -> _FromWorker:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise _Close("protocol_error") from None


ROUTES: list[ControllerRouterHandler] = [connect_worker]
