"""Flows that stop on their way until somebody lets them go on."""

import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, pause_flow_run, suspend_flow_run, task
from prefect.client.orchestration import get_client
from prefect.input import RunInput
from prefect.runtime import flow_run


class Answer(RunInput):
    """What they want to know."""

    colour: str
    count: int = 1


@task
def step(number):
    get_run_logger().info("step %s", number)


@task
def work_until_suspended():
    get_run_logger().info("works")
    with get_client(sync_client=True) as client:
        while client.read_flow_run(flow_run.id).state.name != "Suspended":
            time.sleep(0.2)


@flow(name="pausing")
def pausing():
    logger = get_run_logger()
    pause_flow_run(timeout=90, poll_interval=1)
    logger.info("goes on")
    answer = pause_flow_run(wait_for_input=Answer, timeout=90, poll_interval=1)
    logger.info("answer: %s %s", answer.colour, answer.count)


@flow(name="suspending", persist_result=True)
def suspending():
    step(1)
    answer = suspend_flow_run(wait_for_input=Answer, timeout=90)
    step(2)
    get_run_logger().info("answer: %s %s", answer.colour, answer.count)
    work_until_suspended()
    step(3)
