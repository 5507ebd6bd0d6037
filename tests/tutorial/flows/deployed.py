"""Flows for deployments: each does a little of what its parameters say."""

import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, task


@task
def work(number, seconds):
    get_run_logger().info("work %s begins", number)
    time.sleep(seconds)
    get_run_logger().info("work %s ends", number)
    return number


@flow(name="deployed", log_prints=True)
def deployed(number: int, seconds: float = 0.1):
    print(f"number {number}")
    return work(number, seconds)


@flow(name="around")
def around(seconds: float = 60.0):
    get_run_logger().info("around begins")
    deployed(1, seconds)
    get_run_logger().info("around ends")
