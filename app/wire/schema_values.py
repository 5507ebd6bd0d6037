"""Values checked against a JSON schema, as the web UI asks for it while a form is filled in."""

from typing import TypeAlias

import msgspec

from app.wire.base import Json


class SchemaValues(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /ui/schemas/validate`."""

    schema: Json
    values: Json


class ErrorsAt(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a property, or with an item of a list, or below it: one of `property` and
    `index` is there."""

    errors: list["str | ErrorsAt"]
    property: str | msgspec.UnsetType = msgspec.UNSET
    index: int | msgspec.UnsetType = msgspec.UNSET


Complaint: TypeAlias = str | ErrorsAt


class SchemaValuesErrors(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is wrong; nothing if the values fit."""

    errors: list[Complaint]
    valid: bool
