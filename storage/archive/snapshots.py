"""What the snapshots of a table name, how one replaces another, and how old ones end.

A pass compares the files that the table has with those that it shall have, and commits the difference:
so a pass that died leaves nothing behind that the next one does not put right. Everything here blocks.
"""

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestFile
from pyiceberg.table import Table
from pyiceberg.typedef import Record

_EPOCH = dt.date(1970, 1, 1)
# Days whose files one commit replaces: pyiceberg makes one nested expression of them.
DAYS_OF_A_COMMIT = 100
# How long a snapshot can be read after another replaced it.
READABLE_SECONDS = 3600.0

Bounds: TypeAlias = Mapping[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A Parquet file to be in the table: `day` is its partition, `lower` and `upper` bounds of columns by
    field id, as Iceberg encodes them."""

    path: str
    day: dt.date
    rows: int
    bytes: int
    lower: Bounds
    upper: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a pass did to a table."""

    added: int = 0
    removed: int = 0
    added_rows: int = 0


def current_files(table: Table) -> Iterator[DataFile]:
    """The files that the current snapshot names, one manifest in memory at a time."""
    snapshot = table.current_snapshot()
    if snapshot is not None:
        for manifest in snapshot.manifests(table.io):
            yield from _files(table, manifest)


def still_named(table: Table, paths: set[str]) -> set[str]:
    """Those of the paths that some snapshot names."""
    named: set[str] = set()
    seen: set[str] = set()
    for snapshot in table.metadata.snapshots:
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in seen:
                seen.add(manifest.manifest_path)
                named.update(
                    file.file_path for file in _files(table, manifest) if file.file_path in paths
                )
    return named


def commit(table: Table, missing: list[NewFile], gone: list[DataFile]) -> Change:
    """Put files in and take others out, what belongs to one day in one snapshot. `table` must be as it
    was when the difference was found.

    Raises:
        CommitFailedException: somebody else changed the table since.
    """
    by_day: dict[int, tuple[list[NewFile], list[DataFile]]] = {}
    for new in missing:
        by_day.setdefault(_days(new.day), ([], []))[0].append(new)
    for old in gone:
        by_day.setdefault(old.partition[0], ([], []))[1].append(old)
    days = sorted(by_day)
    for start in range(0, len(days), DAYS_OF_A_COMMIT):
        group = [by_day[day] for day in days[start : start + DAYS_OF_A_COMMIT]]
        removed = [old for _, files in group for old in files]
        with table.transaction() as transaction:
            update = transaction.update_snapshot()
            with update.overwrite() if removed else update.merge_append() as snapshot:
                for old in removed:
                    snapshot.delete_data_file(old)
                for new in (new for files, _ in group for new in files):
                    snapshot.append_data_file(_data_file(table, new))
    return Change(
        added=len(missing), removed=len(gone), added_rows=sum(new.rows for new in missing)
    )


def expire(table: Table, now: dt.datetime) -> int:
    """End snapshots that were replaced `READABLE_SECONDS` ago, but for those that a branch or a tag
    names; gives how many."""
    oldest = (now.timestamp() - READABLE_SECONDS) * 1000
    in_order = sorted(table.metadata.snapshots, key=lambda each: each.sequence_number or 0)
    named = {ref.snapshot_id for ref in table.metadata.refs.values()}
    ended = [
        one.snapshot_id
        for one, next_ in itertools.pairwise(in_order)
        if next_.timestamp_ms <= oldest and one.snapshot_id not in named
    ]
    if ended:
        table.maintenance.expire_snapshots().by_ids(ended).commit()
    return len(ended)


def _files(table: Table, manifest: ManifestFile) -> Iterator[DataFile]:
    for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
        yield entry.data_file


def _days(day: dt.date) -> int:
    return (day - _EPOCH).days


def _data_file(table: Table, new: NewFile) -> DataFile:
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=new.path,
        file_format=FileFormat.PARQUET,
        partition=Record(_days(new.day)),
        record_count=new.rows,
        file_size_in_bytes=new.bytes,
        lower_bounds=dict(new.lower),
        upper_bounds=dict(new.upper),
        column_sizes=None,
        value_counts=None,
        null_value_counts=None,
        nan_value_counts=None,
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
    )
