"""A flow that logs much, of all levels, from several threads, over some seconds."""

import sys
import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, task


@task
def talk(number, lines):
    logger = get_run_logger()
    for line in range(lines):
        logger.log(10 * (1 + line % 5), "task %s says line %s: %s", number, line, "x" * (line % 97))
        if line % 100 == 99:
            time.sleep(0.2)
    try:
        raise KeyError(number)
    except KeyError:
        logger.exception("task %s caught this", number)


@flow(name="chatty")
def chatty(tasks: int, lines: int):
    talk.map(range(tasks), lines).wait()


if __name__ == "__main__":
    chatty(int(sys.argv[1]), int(sys.argv[2]))
