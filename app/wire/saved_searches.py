"""Searches that somebody keeps under a name."""

import datetime as dt
import uuid
from typing import Any

import msgspec

from app.wire.base import PAGE_LIMIT
from app.wire.filters import NonNegative


class SavedSearchFilter(msgspec.Struct, frozen=True, kw_only=True):
    """One condition, in the words of whoever saved it."""

    object: str
    property: str
    type: str
    operation: str
    value: Any


class SavedSearchCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /saved_searches/`."""

    name: str
    filters: list[SavedSearchFilter] = []


class SavedSearch(msgspec.Struct, frozen=True, kw_only=True):
    """A saved search as it is answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    filters: list[SavedSearchFilter]


class SavedSearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /saved_searches/filter`."""

    offset: NonNegative = 0
    limit: int = PAGE_LIMIT
