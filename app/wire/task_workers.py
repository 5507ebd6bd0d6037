"""Task workers: processes that run deferred task runs, each handed over one websocket."""

import datetime as dt
from typing import Annotated, Literal

import msgspec


class TaskWorkerFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Those that serve one of the keys; no keys are all of them."""

    task_keys: list[str]


class TaskWorkerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /task_workers/filter`."""

    task_worker_filter: TaskWorkerFilter | None = None


class TaskWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A connected task worker, and when it was last seen."""

    identifier: str
    task_keys: list[str]
    timestamp: dt.datetime


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="subscribe"):
    """A task worker's first message: which tasks it runs."""

    keys: Annotated[list[str], msgspec.Meta(min_length=1)]
    client_id: Annotated[str, msgspec.Meta(min_length=1)]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A task worker's answer to a task run: it took it, or it wants no more."""

    type: Literal["ack", "quit"]
