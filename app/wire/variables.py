"""Variables on the wire. A value is any JSON and stays the text that came."""

import datetime as dt
import json
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import PAGE_LIMIT
from app.wire.filters import AllTags, AnyId, NameFilter, NonNegative, Operator

# As Python writes it by default, with a blank after each comma and colon.
MAX_VALUE_CHARACTERS = 5000

VariableName = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[a-z0-9_-]*$(?!\n)")]
VariableSort: TypeAlias = Literal["CREATED_DESC", "UPDATED_DESC", "NAME_DESC", "NAME_ASC"]


def _check(value: msgspec.Raw) -> None:
    if len(value) > MAX_VALUE_CHARACTERS // 4 and (
        len(json.dumps(json.loads(bytes(value)))) > MAX_VALUE_CHARACTERS
    ):
        raise ValueError(f"`value` has more than {MAX_VALUE_CHARACTERS} characters")


class VariableCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /variables/`."""

    name: VariableName
    value: msgspec.Raw
    tags: list[str] = []

    def __post_init__(self) -> None:
        _check(self.value)


class VariableUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a PATCH; what is absent stays as it is."""

    name: VariableName | msgspec.UnsetType = msgspec.UNSET
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.value is not msgspec.UNSET:
            _check(self.value)


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A variable as it is answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    value: msgspec.Raw
    tags: list[str]


class VariableFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which variables."""

    operator: Operator = "and_"
    id: AnyId | None = None
    name: NameFilter | None = None
    tags: AllTags | None = None


class VariableSelection(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /variables/count`."""

    variables: VariableFilter | None = None


class VariableQuery(VariableSelection, frozen=True, kw_only=True):
    """The body of `POST /variables/filter`."""

    sort: VariableSort = "NAME_ASC"
    offset: NonNegative = 0
    limit: NonNegative = PAGE_LIMIT
