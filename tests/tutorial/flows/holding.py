"""Hold a slot of a concurrency limit. Arguments: the limit's name, for how many seconds."""

import sys
import time

import witness  # noqa: F401
from prefect import flow, get_run_logger
from prefect.concurrency.sync import concurrency


@flow(name="holding")
def holding(name: str, seconds: float):
    with concurrency(name, timeout_seconds=60, lease_duration=60):
        get_run_logger().info("holds a slot")
        time.sleep(seconds)


if __name__ == "__main__":
    holding(sys.argv[1], float(sys.argv[2]))
