"""Flows on the wire."""

import datetime as dt
import uuid

import msgspec

from app.wire.base import Labels, Name


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
