"""CPU time and memory of a server: of all its processes, by what they are for.

Roles: `api` (what listens on the server's port; all of the reference but its database), `jobs`,
`postgres`, `s3`, and `supervisor` for what started the others.
"""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator

import psutil

from bench.servers import RunningServer

SAMPLE_SECONDS = 0.25
MIB = 1024**2


class ServerProcesses:
    """The processes of one server, found anew at each reading."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._roles: dict[tuple[int, float], str] = {}

    def _role(self, process: psutil.Process, parent_role: str | None) -> str:
        if parent_role in ("postgres", "s3", "jobs", "api"):
            return parent_role
        name = process.name()
        if name.startswith("postgres"):
            return "postgres"
        if name == "weed":
            return "s3"
        if self._server.name == "reference":
            return "api"
        port = self._server.target.port
        if "app.process" not in process.cmdline():
            return "supervisor"
        sockets = process.net_connections("tcp")
        listens = any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)
        return "api" if listens else "jobs"

    def walk(self) -> Iterator[tuple[psutil.Process, str]]:
        """Every living process with its role; one that ends meanwhile is left out."""
        waiting: list[tuple[psutil.Process, str | None]] = []
        for pid in self._server.root_pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                waiting.append((psutil.Process(pid), None))
        while waiting:
            process, parent_role = waiting.pop()
            with contextlib.suppress(psutil.NoSuchProcess):
                key = (process.pid, process.create_time())
                if key not in self._roles:
                    self._roles[key] = self._role(process, parent_role)
                waiting += [(child, self._roles[key]) for child in process.children()]
                yield process, self._roles[key]

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds used so far, by role. What ended processes used is in their parents' account."""
        used: dict[str, float] = defaultdict(float)
        for process, role in self.walk():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used[role] += (
                    times.user + times.system + times.children_user + times.children_system
                )
        return dict(used)

    def memory_mib(self, role: str) -> float:
        """Proportional size of the processes of a role together, in MiB: what they share counts
        once."""
        total = 0.0
        for process, of_process in self.walk():
            if of_process == role:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_full_info().pss / MIB
        return total


def cpu_used(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """CPU seconds between two readings, by role."""
    return {role: max(0.0, total - before.get(role, 0.0)) for role, total in after.items()}


class MemoryWatch:
    """Samples memory in a thread until it is left.

    `peak_mib` is by role, in MiB: the proportional size of all its processes together, in which
    what several share counts once. `largest_mib` is the resident size of the largest one.
    """

    def __init__(self, server: RunningServer) -> None:
        self._processes = ServerProcesses(server)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_stopped, name="memory-watch")
        self.peak_mib: dict[str, float] = {}
        self.largest_mib: dict[str, float] = {}

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample_until_stopped(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            now: dict[str, float] = defaultdict(float)
            for process, role in self._processes.walk():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    info = process.memory_full_info()
                    now[role] += info.pss / MIB
                    self.largest_mib[role] = max(info.rss / MIB, self.largest_mib.get(role, 0.0))
            for role, total in now.items():
                self.peak_mib[role] = max(total, self.peak_mib.get(role, 0.0))
