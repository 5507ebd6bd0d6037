"""Events on the wire and in the store.

`payload` stays the JSON text that came: nobody but its reader looks into it, and what PostgreSQL
cannot keep in it (NUL, lone surrogates) is mended when the event is decoded.
"""

import datetime as dt
import json
import re
import uuid
from typing import Annotated, Any, TypeAlias

import msgspec

from app.wire.base import as_utc

Resource: TypeAlias = dict[str, str]

MAX_EVENT_BYTES = 1_500_000
MAX_LABELS = 500
MAX_RELATED = 100

RESOURCE_ID = "prefect.resource.id"
RESOURCE_ROLE = "prefect.resource.role"
EMPTY_PAYLOAD = msgspec.Raw(b"{}")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a resource. `id` is unique over all events ever sent, so that an
    event sent twice is kept once."""

    id: uuid.UUID
    occurred: dt.datetime
    event: Annotated[str, msgspec.Meta(max_length=1024)]
    resource: Resource
    related: list[Resource] = []
    payload: msgspec.Raw = msgspec.field(default_factory=lambda: EMPTY_PAYLOAD)
    follows: uuid.UUID | None = None

    def __post_init__(self) -> None:
        try:
            occurred = as_utc(self.occurred).astimezone(dt.UTC)
        except OverflowError as error:
            raise ValueError("occurred is out of range") from error
        msgspec.structs.force_setattr(self, "occurred", occurred)
        if not self.resource.get(RESOURCE_ID):
            raise ValueError(f"resource must have the label {RESOURCE_ID}")
        if len(self.resource) > MAX_LABELS:
            raise ValueError(f"a resource has at most {MAX_LABELS} labels")
        if len(self.related) > MAX_RELATED:
            raise ValueError(f"an event has at most {MAX_RELATED} related resources")
        for resource in self.related:
            if not resource.get(RESOURCE_ID) or not resource.get(RESOURCE_ROLE):
                raise ValueError(
                    f"a related resource must have the labels {RESOURCE_ID} and {RESOURCE_ROLE}"
                )
        if bytes(memoryview(self.payload)[:1]) != b"{":
            raise ValueError("payload must be an object")


class ReceivedEvent(Event, frozen=True, kw_only=True):
    """An event and when this server got it."""

    received: dt.datetime


def raw_json(value: object) -> msgspec.Raw:
    """A payload, or any other JSON text, of the server's own making."""
    return msgspec.Raw(msgspec.json.encode(value, enc_hook=str))


_event_decoder = msgspec.json.Decoder(Event)
_events_decoder = msgspec.json.Decoder(list[Event])
# Escapes of NUL and of surrogates; also finds harmless ones, which costs only time.
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def decode_event(text: str) -> Event:
    """One event from a websocket frame.

    Raises:
        msgspec.MsgspecError: not JSON, or not an event.
    """
    return _event_decoder.decode(_mended(text))


def decode_events(text: str) -> list[Event]:
    """The events of a request body. Raises as `decode_event` does."""
    return _events_decoder.decode(_mended(text))


def _mended(text: str) -> str:
    """The same JSON without characters that PostgreSQL cannot keep: NUL goes, a lone surrogate
    becomes U+FFFD."""
    if _SUSPECT.search(text) is None:
        return text
    try:
        return json.dumps(_clean(json.loads(text)), ensure_ascii=False)
    except ValueError:
        # Let msgspec say what is wrong with it.
        return text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub(lambda found: "" if found[0] == "\x00" else "\ufffd", value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value
