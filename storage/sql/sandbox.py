"""What a process that runs other people's SQL may do: compute, and speak to the process that started it.

It is given nothing worth taking: no credentials, an empty environment, no descriptor but the socket and its
standard output. DuckDB is told to touch no file and to change no setting. And where DuckDB is wrong, the
kernel refuses: no file and no socket can be opened any more, nothing written, nothing kept of a crash,
and memory has an end.
"""

import os
import resource
from pathlib import Path

import duckdb

THREADS = 2
# Other processes of this machine go first.
NICENESS = 10
# Of what a query may take; Arrow and the result have the rest.
_DUCKDB_SHARE = 0.6

_SETTINGS = (
    "allow_community_extensions = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_persistent_secrets = false",
    "python_enable_replacements = false",
    "temp_directory = ''",
    "TimeZone = 'UTC'",
    # So that an error says where it is.
    "errors_as_json = true",
    "max_expression_depth = 250",
    "disabled_filesystems = 'LocalFileSystem'",
    "enable_external_access = false",
)


def open_duckdb() -> duckdb.DuckDBPyConnection:
    """An empty database in memory that reaches nothing."""
    connection = duckdb.connect(":memory:", config={"threads": THREADS})
    for setting in _SETTINGS:
        connection.execute(f"SET {setting}")
    return connection


def lock_settings(connection: duckdb.DuckDBPyConnection, memory_bytes: int) -> None:
    """Let the database take a part of this memory, and no statement change a setting any more."""
    connection.execute(f"SET memory_limit = '{int(memory_bytes * _DUCKDB_SHARE)}B'")
    connection.execute("SET lock_configuration = true")


def give_up_rights() -> None:
    """Open no file and no socket from now on, and start no process that could. Whatever the process needs
    must have been loaded."""
    os.nice(NICENESS)
    highest = max(int(name) for name in os.listdir("/dev/fd")) if Path("/dev/fd").exists() else 63
    # Counts from 0, and the listing itself took one.
    _limit(resource.RLIMIT_NOFILE, highest)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)


def address_space_bytes() -> int | None:
    """What the process has mapped; None where the kernel does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    except OSError:
        return None
    return pages * resource.getpagesize()


def limit_address_space(size: int) -> None:
    """Let an allocation beyond it fail."""
    _limit(resource.RLIMIT_AS, size)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))
