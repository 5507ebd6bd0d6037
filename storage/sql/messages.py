"""What a process that answers SQL and the one that asks say to one another, over one socket.

A frame is its kind (1 byte), the length of its body (4 bytes, big endian) and the body: MessagePack of a
struct, or bytes as the kind says. The conversation:

    ASK     →           the statement and its bounds
            ← WANTED    which views it reads, and which part of the logs
    TABLE   →           of each table of `tables`, in that order: CSV in pieces, an empty one at the end
    BATCH   →           a hot batch: its id (8 bytes) and its payload
    TIER    →           the segments, and what of all lines is not to be shown
            ← READ      bytes of a segment: number, segment, offset, length (`READ`)
    DATA    →           the bytes, after the number (4 bytes); or LOST with the number alone
            ← ANSWER    the result is complete; its columns
            ← BODY      the result as its format has it, in pieces, an empty one at the end

FAILED comes instead of WANTED or ANSWER.
"""

import datetime as dt
import struct
import uuid
from enum import IntEnum
from typing import Literal, TypeAlias

import msgspec

Format: TypeAlias = Literal["json", "csv", "arrow", "parquet"]

HEADER = struct.Struct(">BI")
READ = struct.Struct(">IIQI")
NUMBER = struct.Struct(">I")
BATCH_ID = struct.Struct(">Q")
# Bodies are cut to this size; only a read and a hot batch may be longer.
PIECE_BYTES = 256 * 1024


class Kind(IntEnum):
    """The kinds of frames."""

    ASK = 1
    WANTED = 2
    TABLE = 3
    BATCH = 4
    TIER = 5
    READ = 6
    DATA = 7
    LOST = 8
    ANSWER = 9
    BODY = 10
    FAILED = 11


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A statement; at most `limit` rows are given. The process may take `memory_bytes` more than it has,
    a result a part of them."""

    sql: str
    limit: int
    format: Format
    memory_bytes: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The tables that a statement names, with the columns that it may need, and whether it reads `logs`: then every line that it needs is of
    one of `runs` (None: of any) and within the times."""

    tables: dict[str, list[str]]
    logs: bool
    runs: list[uuid.UUID] | None = None
    after: dt.datetime | None = None
    before: dt.datetime | None = None


class SegmentFile(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A segment's object. `parts` are its rows to read, as (first row, rows); None: all."""

    bytes: int
    footer_crc32: int | None
    parts: list[tuple[int, int]] | None


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Where lines are, and which of them are not to be shown: of deleted runs and task runs, of runs
    below a level, and outside any run from before a time."""

    segments: list[SegmentFile]
    deleted_runs: list[uuid.UUID]
    deleted_tasks: list[uuid.UUID]
    below_level: dict[uuid.UUID, int]
    runless_before: dt.datetime | None


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a result; `type` is DuckDB's name of it."""

    name: str
    type: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A result that is complete. `truncated` when there were more rows than were asked for."""

    columns: list[Column]
    rows: int
    truncated: bool


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no result.

    refused: the statement is wrong or not allowed. memory: it needs more than it may take. too_large: its
    result is. damaged: the object of `segment` is not what was written. lost: bytes were not given.
    unexpected: a fault of ours."""

    reason: Literal["refused", "memory", "too_large", "damaged", "lost", "unexpected"]
    message: str
    segment: int | None = None
