"""Segments as a pyarrow data set, whose bytes come from the process that asked.

DuckDB gives the data set the columns that it needs and conditions on times, levels and names, and pyarrow
reads what they leave: column chunks of row groups, checked against their page checksums.
"""

import datetime as dt
import io
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
from typing_extensions import override

from storage.errors import ObjectDamaged
from storage.logs.footer import read_footer
from storage.logs.lines import LINES
from storage.sql.messages import NUMBER, READ, Kind, SegmentFile
from storage.sql.socket_frames import Frames

# A fragment of the data set: pyarrow reads four at once ahead of DuckDB, 131,072 lines each.
ROW_GROUPS_PER_FRAGMENT = 16
FOOTERS_AT_ONCE = 8

# A request takes as long as 300 KB do, so what lies less far apart comes by one: of a few narrow columns
# all row groups of a fragment, 2.7 MB.
HOLE_BYTES = 256 * 1024
MAX_RANGE_BYTES = 8 * 1024**2

# The stubs of pyarrow do not know that ids may stay binary, which DuckDB makes UUIDs of.
_OPTIONS: Any = ds.ParquetFragmentScanOptions(
    pre_buffer=True,
    cache_options=pa.CacheOptions(
        hole_size_limit=HOLE_BYTES, range_size_limit=MAX_RANGE_BYTES, lazy=False
    ),
    page_checksum_verification=True,
    arrow_extensions_enabled=False,  # pyrefly: ignore[unexpected-keyword]
)


class BytesLost(OSError):
    """Bytes of a segment were not given; whoever was asked for them knows why."""


class DamagedSegment(Exception):
    """A segment is not what was written."""

    def __init__(self, segment: int, message: str) -> None:
        super().__init__(message)
        self.segment = segment


class Source(Protocol):
    """Gives bytes of segments."""

    def read(self, segment: int, offset: int, length: int, /) -> bytes:
        """Bytes [offset, offset + length) of a segment. Raises BytesLost."""
        ...


class Ranges:
    """Asks the other end for bytes; any number of threads wait for theirs. `lost` once some were not
    given."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._thread: threading.Thread | None = None
        self.lost = False
        self._lock = threading.Lock()
        self._numbers = 0
        self._waiting: dict[int, Future[bytes]] = {}

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length) of a segment. Raises BytesLost."""
        answer: Future[bytes] = Future()
        with self._lock:
            self._numbers += 1
            number = self._numbers
            self._waiting[number] = answer
        self._frames.send(Kind.READ, READ.pack(number, segment, offset, length))
        return answer.result()

    def start(self) -> None:
        """Hand out what comes from now on. The process ends when nothing will come any more."""
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def wait_for_end(self) -> None:
        """Take and forget what comes, until the process ends because nothing will come any more."""
        if self._thread is None:
            # No thread: there may be no memory for one.
            self._take()
        else:
            self._thread.join()

    def _take(self) -> None:
        try:
            while True:
                self._answer(*self._frames.receive())
        except (EOFError, OSError):
            # Nobody waits for the answer any more.
            os._exit(0)

    def _answer(self, kind: Kind, body: bytes) -> None:
        if kind not in (Kind.DATA, Kind.LOST):
            # Of a table that was too large: nobody reads on.
            return
        (number,) = NUMBER.unpack_from(body)
        with self._lock:
            waiting = self._waiting.pop(number)
        if kind == Kind.DATA:
            waiting.set_result(body[NUMBER.size :])
        else:
            self.lost = True
            waiting.set_exception(BytesLost("bytes of a segment cannot be read"))


class _Objects:
    """As much of an object store as reading a footer takes. Keys are numbers of segments."""

    def __init__(self, ranges: Source) -> None:
        self._ranges = ranges
        self.tails: dict[int, tuple[int, bytes]] = {}

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        body = self._ranges.read(int(key), start, length)
        self.tails[int(key)] = (start, body)
        return body


class _SegmentFile(io.RawIOBase):
    """A segment; its end is in memory already."""

    def __init__(self, ranges: Source, segment: int, size: int, tail: tuple[int, bytes]) -> None:
        super().__init__()
        self._ranges = ranges
        self._segment = segment
        self._size = size
        self._tail_start, self._tail = tail
        self._position = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = base[whence] + position
        return self._position

    @override
    def read(self, size: int = -1) -> bytes:
        start = self._position
        end = self._size if size < 0 else min(start + size, self._size)
        if end <= start:
            return b""
        if start >= self._tail_start:
            body = self._tail[start - self._tail_start : end - self._tail_start]
        else:
            body = self._ranges.read(self._segment, start, end - start)
        self._position = start + len(body)
        return body


class _Files(pafs.FileSystemHandler):
    """The segments as a file system; a file's name is a segment's number."""

    def __init__(
        self, ranges: Source, segments: list[SegmentFile], tails: dict[int, tuple[int, bytes]]
    ) -> None:
        self._ranges = ranges
        self._segments = segments
        self._tails = tails

    @override
    def get_type_name(self) -> str:
        return "segments"

    @override
    def normalize_path(self, path: str) -> str:
        return path

    @override
    def get_file_info(self, paths: list[str] | str) -> list[pafs.FileInfo]:
        return [
            pafs.FileInfo(path, pafs.FileType.File, size=self._segments[int(path)].bytes)
            for path in ([paths] if isinstance(paths, str) else paths)
        ]

    @override
    def open_input_file(self, path: str) -> pa.PythonFile:
        segment = int(path)
        file = _SegmentFile(
            self._ranges, segment, self._segments[segment].bytes, self._tails[segment]
        )
        return pa.PythonFile(file, mode="r")

    @override
    def open_input_stream(self, path: str) -> pa.PythonFile:
        return self.open_input_file(path)

    def _refuse(self, *_: object, **__: object) -> Any:
        raise PermissionError("segments are only read")

    get_file_info_selector = _refuse
    create_dir = _refuse
    delete_dir = _refuse
    delete_dir_contents = _refuse
    delete_root_dir_contents = _refuse
    delete_file = _refuse
    move = _refuse
    copy_file = _refuse
    open_output_stream = _refuse
    open_append_stream = _refuse


class TierDataset:
    """The segments, and what their data set is made of."""

    def __init__(self, ranges: Source, segments: list[SegmentFile]) -> None:
        objects = _Objects(ranges)
        with ThreadPoolExecutor(FOOTERS_AT_ONCE) as threads:
            list(threads.map(partial(_check_footer, objects), range(len(segments)), segments))
        files = pafs.PyFileSystem(_Files(ranges, segments, objects.tails))
        form = ds.ParquetFileFormat(default_fragment_scan_options=_OPTIONS)
        self._fragments: list[tuple[int, ds.ParquetFileFragment]] = []
        for number, segment in enumerate(segments):
            whole: Any = form.make_fragment(str(number), files)
            rows = [group.num_rows for group in whole.row_groups]
            for groups in _windows(segment, rows):
                self._fragments.append((number, whole.subset(row_group_ids=groups)))
        self.dataset = ds.FileSystemDataset(
            [fragment for _, fragment in self._fragments], LINES, form, files
        )

    def times(self) -> list[tuple[dt.datetime, dt.datetime]]:
        """The first and last times of each row group that is to be read."""
        return [
            (group.statistics["timestamp"]["min"], group.statistics["timestamp"]["max"])
            for _, fragment in self._fragments
            for group in fragment.row_groups
        ]

    def find_damage(self) -> DamagedSegment | None:
        """The first segment that cannot be read, for a scan that failed does not say which. Reads
        everything. Raises BytesLost."""
        for number, fragment in self._fragments:
            try:
                for _ in fragment.to_batches(schema=LINES, use_threads=False):
                    pass
            except BytesLost:
                raise
            except (pa.ArrowException, OSError, ValueError) as error:
                return DamagedSegment(number, str(error).partition("\n")[0][:300])
        return None


def _check_footer(objects: _Objects, number: int, segment: SegmentFile) -> None:
    """Raise DamagedSegment when the footer is not what was written."""
    # It waits for nothing but `read_range`, which blocks: no event loop is needed, which would open files.
    reading = read_footer(objects, str(number), segment.bytes, segment.footer_crc32)  # pyrefly: ignore[bad-argument-type]
    try:
        reading.send(None)
    except StopIteration:
        return
    except ObjectDamaged as error:
        raise DamagedSegment(number, str(error)) from error
    reading.close()
    raise RuntimeError("reading a footer waits for an event loop")


def _windows(segment: SegmentFile, rows_of_groups: list[int]) -> list[list[int]]:
    """The row groups to read, a few at a time."""
    wanted = []
    first = 0
    for group, rows in enumerate(rows_of_groups):
        end = first + rows
        if segment.parts is None or any(
            start < end and first < start + count for start, count in segment.parts
        ):
            wanted.append(group)
        first = end
    return [
        wanted[start : start + ROW_GROUPS_PER_FRAGMENT]
        for start in range(0, len(wanted), ROW_GROUPS_PER_FRAGMENT)
    ]
