"""What follows from the contents of blocks: checksums, secrets, references. Pure.

A *secret field* is a path like `token`, `credentials.password` or `headers.*`; a star stands for
all that lies below.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from app.wire.base import Json

MASK = "********"
REFERENCE = "$ref"
REFERENCE_ID = "block_document_id"


def checksum(fields: Json) -> str:
    """The checksum that clients compute over a block schema's fields to find the schema again.

    It leaves out which fields are secret, and of the definitions those that are blocks themselves
    or that nothing leads to.
    """
    hashed = _without_secret_fields(fields)
    definitions = hashed.pop("definitions", None) or {}
    found: set[str] = set()
    waiting = list(_definitions_named_in(hashed))
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in found:
            found.add(name)
            waiting += _definitions_named_in(definitions[name])
    kept = {
        name: definitions[name]
        for name in found
        if not (isinstance(definitions[name], dict) and "block_type_slug" in definitions[name])
    }
    if kept:
        hashed["definitions"] = kept
    # Clients hash a call's arguments: one positional, none named.
    text = json.dumps([[hashed], {}], sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _without_secret_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_secret_fields(item)
            for key, item in value.items()
            if key != "secret_fields"
        }
    if isinstance(value, list):
        return [_without_secret_fields(item) for item in value]
    return value


def _definitions_named_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix("#/definitions/")
            else:
                yield from _definitions_named_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _definitions_named_in(item)


def secret_fields(fields: Json) -> list[list[str]]:
    """The paths of a schema's secret fields."""
    named = fields.get("secret_fields")
    if not isinstance(named, list):
        return []
    return [path.split(".") for path in named if isinstance(path, str)]


def masked(data: Json, secrets: Sequence[Sequence[str]]) -> Json:
    """The values with the secret ones masked."""
    for path in secrets:
        data = _masked_at(data, path)
    return data


def _masked_at(value: Any, path: Sequence[str]) -> Any:
    if not path:
        return MASK if value is not None else None
    if isinstance(value, list):
        return [_masked_at(item, path) for item in value]
    if not isinstance(value, dict):
        # The schema says there is more below; what is there instead may be secret too.
        return MASK if path[0] == "*" and value is not None else value
    if path[0] == "*":
        return {key: _masked_at(item, ["*"]) for key, item in value.items()}
    if path[0] not in value:
        return value
    return {**value, path[0]: _masked_at(value[path[0]], path[1:])}


def updated(current: Json, changes: Json, *, merge: bool) -> Json:
    """The values after an update: `merge` keeps those that are not named. A value that is masked is
    one that the sender has not seen, and stays."""
    restored = {key: _restored(item, current.get(key)) for key, item in changes.items()}
    return {**current, **restored} if merge else restored


def _restored(value: Any, current: Any) -> Any:
    if value == MASK and current is not None:
        return current
    if isinstance(value, dict) and isinstance(current, dict):
        return {key: _restored(item, current.get(key)) for key, item in value.items()}
    return value


def references(data: Json) -> dict[str, uuid.UUID]:
    """The documents that stand in for a value, by the value's key.

    Raises:
        ValueError: a reference that names no document.
    """
    found: dict[str, uuid.UUID] = {}
    for key, value in data.items():
        if isinstance(value, dict) and REFERENCE in value:
            target = value[REFERENCE]
            if not isinstance(target, dict) or REFERENCE_ID not in target:
                raise ValueError(f"the reference under {key!r} names no block document")
            found[key] = uuid.UUID(str(target[REFERENCE_ID]))
    return found
