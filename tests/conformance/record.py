"""Note what the reference answers: `python -m tests.conformance.record http://127.0.0.1:4200/api`.

The server must be prefect 3.8.8 with an empty database and without its services.
"""

import asyncio
import json
import sys
from pathlib import Path

import httpx

from tests.conformance.play import play
from tests.conformance.scenarios import DEPLOYED_RUNS, FLOW_RUNS, MORE_FLOW_RUNS, TASK_RUNS

RECORDED = Path(__file__).with_name("recorded.json")


async def record(url: str) -> None:
    """Play all scenarios against the server at `url` and write down its answers."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        answers = {
            f"{scenario.kind}: {scenario.name}": await play(client, scenario)
            for scenario in (*FLOW_RUNS, *DEPLOYED_RUNS, *MORE_FLOW_RUNS, *TASK_RUNS)
        }
    RECORDED.write_text(json.dumps(answers, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))
