"""The files of a table's own below its location: the pointer for readers without a catalog, and the end
of what nothing names. Everything here blocks."""

import contextlib
import datetime as dt
from collections.abc import Iterator

from pyarrow.fs import FileSelector, FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

HINT = "version-hint.text"
_METADATA_SUFFIX = ".metadata.json"
# Longer than a pass takes: what is younger may be about to be named.
UNNAMED_SECONDS = 3600.0


def write_hint(table: Table) -> None:
    """Say in `metadata/version-hint.text` which metadata file is the current one."""
    directory, _, name = table.metadata_location.rpartition("/")
    version = name.removesuffix(_METADATA_SUFFIX).encode()
    path = f"{directory}/{HINT}"
    with contextlib.suppress(FileNotFoundError), table.io.new_input(path).open() as file:
        if file.read() == version:
            return
    with table.io.new_output(path).create(overwrite=True) as file:
        file.write(version)


def delete_unnamed(table: Table, now: dt.datetime) -> int:
    """Delete manifests and data files below the table's location that no snapshot names; gives how
    many. Its metadata files are the catalog's, which keeps the last few."""
    root = table.location().rstrip("/")
    named = set(_named(table, own=f"{root}/"))
    system = _file_system(table, root.removeprefix("s3://").partition("/")[0])
    oldest = now.timestamp() - UNNAMED_SECONDS
    unnamed = [
        info.path
        for info in system.get_file_info(
            FileSelector(root.removeprefix("s3://"), recursive=True, allow_not_found=True)
        )
        if info.is_file
        and info.path.endswith((".avro", ".parquet"))
        and info.mtime is not None
        and info.mtime.timestamp() < oldest
        and f"s3://{info.path}" not in named
    ]
    for path in unnamed:
        system.delete_file(path)
    return len(unnamed)


def _named(table: Table, *, own: str) -> Iterator[str]:
    seen: set[str] = set()
    for snapshot in table.metadata.snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                if entry.data_file.file_path.startswith(own):
                    yield entry.data_file.file_path


def _file_system(table: Table, bucket: str) -> FileSystem:
    assert isinstance(table.io, PyArrowFileIO)
    return table.io.fs_by_scheme("s3", bucket)
