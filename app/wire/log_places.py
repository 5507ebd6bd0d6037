"""Where a line lies: Tailrace's own, nothing of the reference's."""

import uuid
from typing import Literal

import msgspec


class LogPlaceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/logs/where`: a line of a run, by its id."""

    flow_run_id: uuid.UUID
    line_id: uuid.UUID


class LogPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a line lies now, and how large what holds it is: `rows` lines in `bytes`, compressed.

    In the tier `hot` it is a `batch` in PostgreSQL. In `segment` it is the `row` of an object,
    `object_key` in the bucket; `level` says how often its lines were rewritten, and `final` that they
    are no more, `format_version` which layout it has. What does not hold of a tier is None.
    """

    tier: Literal["hot", "segment"]
    rows: int
    bytes: int
    batch: int | None = None
    segment_id: int | None = None
    object_key: str | None = None
    row: int | None = None
    level: int | None = None
    final: bool | None = None
    format_version: int | None = None
