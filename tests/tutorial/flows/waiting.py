"""A flow that waits until somebody cancels it."""

import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, task


@task
def step(number):
    get_run_logger().info("step %s", number)
    time.sleep(0.1)


@flow(name="waiting")
def waiting():
    for number in range(300):
        step(number)


if __name__ == "__main__":
    waiting()
