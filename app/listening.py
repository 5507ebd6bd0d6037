"""The port: who may reach it, holding it while the rest starts, and how to name it in a URL."""

import contextlib
import errno
import ipaddress
import socket
import time
from collections.abc import Iterator

from app.process_config import bind
from app.settings import LoadedSettings, Settings, variable
from storage.embedded.data_directory import find_instance
from storage.embedded.errors import CannotStart

# A port of an instance that was killed a moment ago is free again within this.
BIND_SECONDS = 1.0


def api_url(settings: Settings) -> str:
    """What to put into PREFECT_API_URL on this machine."""
    return f"http://{_reachable_host(settings.host)}:{settings.port}/api"


def find_api(loaded: LoadedSettings) -> tuple[str, str | None]:
    """The API that a command speaks to, and `user:password` for it: the server that the flags name, else
    the one in the data directory, else the default."""
    instance = find_instance(loaded.values.data_dir)
    if instance is not None and "flag" not in (loaded.origins["host"], loaded.origins["port"]):
        return instance.api_url, instance.api_auth_string
    secret = loaded.values.api_auth_string
    return api_url(loaded.values), secret.get_secret_value() if secret else None


@contextlib.contextmanager
def reserve_port(settings: Settings, *, insecure: bool) -> Iterator[None]:
    """Hold the port until the end, so that nobody takes it while the rest starts."""
    host, port = settings.host, settings.port
    if not (insecure or settings.api_auth_string or _is_loopback(host)):
        raise CannotStart(
            f"anybody who reaches {host} could use the API: set"
            f" {variable('api_auth_string')}=user:password, listen on 127.0.0.1, or say --insecure"
        )
    deadline = time.monotonic() + BIND_SECONDS
    while True:
        try:
            _probe(host, port)
            reserved = bind(host, port)
            break
        except OSError as error:
            if time.monotonic() < deadline and not isinstance(error, socket.gaierror):
                time.sleep(0.1)
                continue
            setting = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
            raise CannotStart(
                f"cannot listen on {host} port {port} ({error.strerror or error});"
                f" choose another {setting} with --{setting} or {variable(setting)}"
            ) from error
    with reserved:
        yield


def _probe(host: str, port: int) -> None:
    """Raise OSError if anybody holds the port, another Tailrace among them."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        # Two sockets may be bound with SO_REUSEADDR as long as none listens.
        probe.listen(1)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reachable_host(host: str) -> str:
    """The host to use in a URL on this machine; an address that means "all" is loopback there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
