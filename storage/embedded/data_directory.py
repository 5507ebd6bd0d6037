"""The directory that holds everything an embedded instance owns.

lock                held with flock while an instance runs; the kernel drops it with the process
instance.json       how to reach the running instance; its owner alone can read it
encryption-key      what block documents are encrypted with; without it they cannot be read again
ports.json          the ports of last time, taken again when they are free
postgres/, postgres-password, postgres.log
seaweedfs/, s3.json, seaweedfs.log
"""

import contextlib
import fcntl
import json
import os
import random
import secrets
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from storage.embedded.errors import CannotStart
from storage.objects.store import S3Config

# Below the range that the kernel takes ports of outgoing connections from.
PORT_RANGE = range(15000, 32000)


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a running instance. `api_auth_string` is what its API asks for, if anything."""

    pid: int
    api_url: str
    database_url: str
    s3: S3Config
    api_auth_string: str | None = None
    encryption_key: str | None = None


class DataDirectory:
    """A data directory that belongs to this process until `open_data_directory` ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def choose_ports(self, names: Sequence[str], *, again: bool = False) -> dict[str, int]:
        """A free loopback port for each name, those of last time where possible.

        `again` gives new ports for all names, after a server could not take the old ones.
        """
        file = self.path / "ports.json"
        known: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            known = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        if again:
            known = {name: port for name, port in known.items() if name not in names}
        taken = set(known.values())
        for name in names:
            if name not in known or not _is_free(known[name]):
                known[name] = _free_port(taken)
                taken.add(known[name])
        write_private(file, json.dumps(known, indent=1).encode())
        return {name: known[name] for name in names}

    def encryption_key(self) -> str:
        """The key of this directory, made when it is first asked for."""
        file = self.path / "encryption-key"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(32).encode())
        return file.read_text("ascii")

    def write_instance(self, instance: Instance) -> None:
        """Let other commands find this instance; the file goes when the directory is closed."""
        write_private(self.path / "instance.json", msgspec.json.encode(instance))


@contextlib.contextmanager
def open_data_directory(path: Path) -> Iterator[DataDirectory]:
    """Create the directory if needed and lock it.

    Raises:
        CannotStart: it belongs to a running instance, or cannot be written.
    """
    path = path.absolute()
    try:
        # As root the database runs as another user, who must be able to pass through.
        path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(
            f"data directory {path} cannot be written ({error.strerror});"
            " choose another with --data-dir or TAILRACE_DATA_DIR"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(lock, 32).decode().strip() or "unknown"
            raise CannotStart(
                f"data directory {path} belongs to a running instance (process {owner});"
                " stop that one or choose another directory with --data-dir"
            ) from error
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        (path / "instance.json").unlink(missing_ok=True)
        try:
            yield DataDirectory(path)
        finally:
            (path / "instance.json").unlink(missing_ok=True)
    finally:
        os.close(lock)


def find_instance(path: Path) -> Instance | None:
    """The instance that runs in `path`; None when there is none, or its file is not ours to read."""
    try:
        lock = os.open(path / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            return msgspec.json.decode((path / "instance.json").read_bytes(), type=Instance)
    finally:
        os.close(lock)
    return None


def write_private(path: Path, content: bytes) -> None:
    """Write a file as a whole, readable by its owner alone."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a connection of last time in TIME_WAIT does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port(taken: set[int]) -> int:
    for _ in range(1000):
        port = random.choice(PORT_RANGE)
        if port not in taken and _is_free(port):
            return port
    raise CannotStart("no free port between 15000 and 32000 on 127.0.0.1; stop what holds them")
