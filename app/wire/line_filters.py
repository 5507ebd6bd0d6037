"""Which log lines Tailrace's own questions are about: more than the contract's filter can say."""

import uuid
from typing import Annotated, Literal

import msgspec

from app.wire.logs import LevelFilter, LogFilter

LevelNumber = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
Regex = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
LoggerNames = Annotated[list[str], msgspec.Meta(max_length=50)]
_Ids = Annotated[list[uuid.UUID], msgspec.Meta(max_length=50)]


class LevelSetFilter(LevelFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on the level number, and a set of which it must be one; an empty set matches nothing."""

    any_: Annotated[list[LevelNumber], msgspec.Meta(max_length=50)] | None = None


class OwnLogFilter(LogFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contract's filter with a set of levels besides."""

    level: LevelSetFilter | None = None


class LineFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines that match `logs`, and all that is given besides: a regular expression (RE2) that messages
    match, names of loggers, and flows and deployments of whose runs they are."""

    logs: OwnLogFilter | None = None
    regex: Regex | None = None
    logger: LoggerNames | None = None
    flow_ids: _Ids | None = None
    deployment_ids: _Ids | None = None


class LogSearch(LineFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/logs/search`. `cursor` of an answer continues it."""

    order: Literal["newest", "oldest"] = "newest"
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    cursor: str | None = None


class LogDownload(LineFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/logs/download`: which lines, and the form of the file."""

    format: Literal["text", "ndjson", "csv", "parquet"] = "text"
