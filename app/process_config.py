"""What the supervisor and the processes that it starts agree on."""

import socket
from typing import Literal

import msgspec

from app.rules.recovery import Recovery
from app.rules.schedules import Scheduling
from app.wire.settings import Setting
from storage.archive.place import Archive
from storage.objects.disk_cache import LogCache
from storage.objects.store import S3Config

# What a process writes to stdout when it serves.
READY = b"ready\n"


class ProcessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What to be and how. `host` and `port` are for the API alone."""

    kind: Literal["api", "jobs"]
    database_url: str
    s3: S3Config
    database_pool_size: int
    hot_limit_bytes: int
    sql_seconds: int = 60
    sql_memory_bytes: int = 1024**3
    event_retention_days: int
    log_retention_days: int | None
    late_after_seconds: int
    cancelling_timeout_seconds: int
    recovery: Recovery
    scheduling: Scheduling
    archive: Archive | None
    log_cache: LogCache | None
    encryption_key: str | None
    host: str
    port: int
    api_auth_string: str | None
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["auto", "console", "json"]
    # What operators are told of the settings, secrets masked.
    settings: tuple[Setting, ...] = ()


def bind(host: str, port: int) -> socket.socket:
    """A socket on `port` that other processes of ours may bind too.

    Each API process listens on a socket of its own and the kernel spreads connections over them. A
    socket that is bound but does not listen holds the port and takes no connections.

    Raises:
        OSError: the address is not ours or the port is taken.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
