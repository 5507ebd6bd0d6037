"""Flows for deployments: each does a little of what its parameters say."""

import os
import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, task
from prefect.deployments import run_deployment


@task
def work(number, seconds):
    get_run_logger().info("work %s begins", number)
    time.sleep(seconds)
    get_run_logger().info("work %s ends", number)
    return number


@flow(name="deployed", log_prints=True)
def deployed(number: int, seconds: float = 0.1):
    print(f"number {number}")
    print(f"process {os.getpid()}")
    return work(number, seconds)


@flow(name="around")
def around(seconds: float = 60.0):
    get_run_logger().info("around begins")
    numbered = {"number": 2, "seconds": seconds}
    run_deployment("deployed/on-call", parameters=numbered, timeout=0)
    deployed(1, seconds)
    get_run_logger().info("around ends")
