"""A small nightly import, as somebody who uses Prefect would write it. Nothing here is ours.

It has what a real flow has: parallel tasks, a retry that helps, a failure that is caught, a
subflow, and far too many log lines, one of them a traceback.
"""

import json
import random

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run, task_run

FILES = 8
LINES = 1200


@task(retries=2, retry_delay_seconds=1)
def fetch(number: int) -> int:
    """The second file is not there at the first try."""
    logger = get_run_logger()
    logger.info("fetching file %d", number)
    if number == 2 and task_run.run_count == 1:
        logger.warning("file %d is not there yet", number)
        raise ConnectionError(f"file {number} is not there yet")
    return number


@task
def load(number: int) -> int:
    """Read every record and say so, as talkative code does."""
    logger = get_run_logger()
    dice = random.Random(number)
    for line in range(LINES):
        amount = dice.randrange(10_000)
        if amount < 50:
            logger.error("file %d record %d: amount %d is below the minimum", number, line, amount)
        elif amount < 500:
            logger.warning("file %d record %d: amount %d looks small", number, line, amount)
        elif amount % 3 == 0:
            logger.debug("file %d record %d: cache hit for customer %d", number, line, amount // 7)
        else:
            logger.info("file %d record %d: stored amount %d", number, line, amount)
    return LINES


@task
def check_currency(rates: dict[str, float]) -> float:
    """Fails: the rate that it wants is missing."""
    return rates["XAU"]


@flow(log_prints=True)
def report(records: int) -> str:
    """A subflow that prints, which Prefect turns into log lines."""
    print(f"{records} records stored ✓")
    return json.dumps({"records": records})


@flow(name="nightly-import")
def nightly_import() -> str:
    """Fetch, load, check and report."""
    logger = get_run_logger()
    files = [fetch(number) for number in range(1, FILES + 1)]
    loaded = load.map(files)
    try:
        check_currency({"EUR": 1.0})
    except KeyError:
        logger.exception("no rate for gold; going on without it")
    summary = report(sum(future.result() for future in loaded))
    logger.info("done: %s", summary)
    return str(flow_run.get_id())


if __name__ == "__main__":
    print("flow run:", nightly_import())
