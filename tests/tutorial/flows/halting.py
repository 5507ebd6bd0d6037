"""Flows that stop on their way until somebody lets them go on."""

import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, pause_flow_run, suspend_flow_run, task
from prefect.cache_policies import NO_CACHE
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
def work():
    get_run_logger().info("works")


@task(cache_policy=NO_CACHE)
def rest():
    time.sleep(0.1)


def times_suspended():
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(flow_run.id)
    return [state.name for state in states].count("Suspended")


@flow(name="pausing")
def pausing():
    logger = get_run_logger()
    pause_flow_run(timeout=90, poll_interval=1)
    logger.info("goes on")
    answer = pause_flow_run(wait_for_input=Answer, timeout=90, poll_interval=1)
    logger.info("answer: %s %s", answer.colour, answer.count)


@flow(name="suspending", persist_result=True)
def suspending():
    suspended_before = times_suspended()
    step(1)
    answer = suspend_flow_run(wait_for_input=Answer, timeout=90)
    step(2)
    get_run_logger().info("answer: %s %s", answer.colour, answer.count)
    work()
    # The client looks between tasks whether it has heard of a suspension, which an event tells it.
    # It must hear before the last task has ended: then the run is completed, whatever state it has.
    while suspended_before < 2:
        rest()
    step(3)
