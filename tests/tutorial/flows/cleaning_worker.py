"""A worker of processes that can end one by its handle, as workers of other infrastructures can."""

import asyncio
import os
import signal
import sys
from typing import Any

from prefect.workers.process import ProcessWorker


class CleaningWorker(ProcessWorker):
    type = "cleaning-process"

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: Any, grace_seconds: int = 30
    ) -> None:
        os.kill(int(infrastructure_pid.rpartition(":")[2]), signal.SIGTERM)


asyncio.run(CleaningWorker(work_pool_name=sys.argv[1]).start())
