"""What a run asks for on its way: variables, and slots of a concurrency limit."""

import sys
import time

import witness  # noqa: F401
from prefect import flow, get_run_logger
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.variables import Variable


@flow(name="variables")
def variables():
    logger = get_run_logger()
    logger.info("missing: %s", Variable.get("colour", default="none"))
    Variable.set("colour", {"name": "blue", "rgb": [0, 0, 255]})
    logger.info("set: %s", Variable.get("colour")["name"])
    try:
        Variable.set("colour", "red")
    except ValueError as error:
        logger.info("refused: %s", type(error).__name__)
    Variable.set("colour", "green", overwrite=True)
    logger.info("overwritten: %s", Variable.get("colour"))
    Variable.unset("colour")
    logger.info("unset: %s", Variable.get("colour", default="none"))


@flow(name="limited")
def limited():
    logger = get_run_logger()
    for _ in range(3):
        with concurrency("one-at-a-time", occupy=1, timeout_seconds=60):
            logger.info("enter %s", time.time())
            time.sleep(0.1)
            logger.info("leave %s", time.time())
    rate_limit("nobody-made-this-one", occupy=1)


if __name__ == "__main__":
    {"variables": variables, "limited": limited}[sys.argv[1]]()
