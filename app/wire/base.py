"""Conventions of every struct on the wire.

Structs are frozen and keyword-only, spelled on each class (neither is inherited for the type
checker). Requests that the reference checks strictly add `forbid_unknown_fields=True`. Times are
timezone-aware; a time without a zone is UTC. Durations are seconds.
"""

import datetime as dt
import uuid
from typing import Annotated, Any, TypeAlias

import msgspec
import uuid_utils

Json: TypeAlias = dict[str, Any]
Labels: TypeAlias = dict[str, bool | int | float | str]
# Names of flows, deployments, pools, queues and blocks end up in URLs.
Name = Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[^/%&><]+$")]

PAGE_LIMIT = 200
NIL_UUID = uuid.UUID(int=0)


def new_id() -> uuid.UUID:
    """A time-ordered UUIDv7."""
    return uuid.UUID(bytes=uuid_utils.uuid7().bytes)


def utc_now() -> dt.datetime:
    """The time now, in UTC."""
    return dt.datetime.now(dt.UTC)


def as_utc(time: dt.datetime) -> dt.datetime:
    """`time`, read as UTC if it says no zone."""
    return time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC)


def in_utc(time: dt.datetime) -> dt.datetime:
    """The time in UTC; one without a zone is UTC already.

    Raises:
        ValueError: the time lies outside years 1 to 9999 in UTC.
    """
    if time.tzinfo is None:
        return time.replace(tzinfo=dt.UTC)
    try:
        return time.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("a time outside years 1 to 9999 in UTC") from None
