"""A task that fails; the flow fails with it."""

import witness  # noqa: F401
from prefect import flow, get_run_logger, task


@task
def divide(by):
    get_run_logger().info("dividing by %s", by)
    return 1 / by


@task
def after(value):
    return value


@flow(name="failing")
def failing():
    caught = divide(0, return_state=True)
    get_run_logger().error("caught %s", caught.type.value)
    divided = divide.submit(0)
    after.submit(divided).wait()
    divided.result()


if __name__ == "__main__":
    failing()
