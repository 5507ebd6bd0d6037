"""A flow that lasts until a file is there, and writes down each time it is begun and ended."""

import os
import sys
import time

import witness  # noqa: F401
from prefect import flow, get_run_logger
from prefect.runtime import flow_run


def write_down(path, word):
    """One line, by one write."""
    with open(path, "a", buffering=1) as file:
        file.write(f"{word} {os.getpid()} {flow_run.id}\n")


@flow(name="lasting")
def lasting(diary: str, until: str):
    write_down(diary, "begins")
    count = 0
    while not os.path.exists(until):
        get_run_logger().info("lasts %s", count)
        count += 1
        time.sleep(0.3)
    write_down(diary, "ends")


if __name__ == "__main__":
    lasting(*sys.argv[1:])
