"""A task and a flow that fail before they succeed."""

import witness  # noqa: F401
from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run, task_run


@task(retries=2, retry_delay_seconds=0)
def flaky():
    get_run_logger().info("attempt %s", task_run.run_count)
    if task_run.run_count < 3:
        raise ValueError(f"attempt {task_run.run_count} fails")
    return "third time lucky"


@flow(name="retries", retries=1, retry_delay_seconds=0)
def retries():
    flaky()
    if flow_run.run_count < 2:
        raise RuntimeError("the flow fails once")


if __name__ == "__main__":
    retries()
