"""Flows on the wire."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from app.wire.base import PAGE_LIMIT, Labels, Name
from app.wire.states import StateType


class FlowCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /flows/`."""

    name: Name
    tags: list[str] = []
    labels: Labels | None = None


class FlowUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /flows/{id}`; what is absent stays as it is."""

    tags: list[str] | msgspec.UnsetType = msgspec.UNSET


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow as it is kept and answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    tags: list[str]
    labels: Labels


class FlowPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of flows."""

    results: list[Flow]
    count: int
    limit: int
    pages: int
    page: int


class FlowIds(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the routes that tell a user interface something about each of these flows."""

    flow_ids: Annotated[list[uuid.UUID], msgspec.Meta(max_length=PAGE_LIMIT)]


class NextRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run of a flow that is due first."""

    id: uuid.UUID
    flow_id: uuid.UUID
    name: str
    state_name: str
    state_type: StateType
    next_scheduled_start_time: dt.datetime
