"""A flow that tries again after a while, and does things wholly or not at all."""

from pathlib import Path

import witness  # noqa: F401
from prefect import flow, get_run_logger, task
from prefect.filesystems import LocalFileSystem
from prefect.locking.filesystem import FileSystemLockManager
from prefect.results import ResultStore
from prefect.runtime import flow_run, task_run
from prefect.transactions import IsolationLevel, transaction


@task(retries=2, retry_delay_seconds=[0.5, 1], retry_jitter_factor=0.5)
def flaky():
    if task_run.run_count < 3:
        raise ValueError(f"attempt {task_run.run_count} fails")


@task
def book(what):
    get_run_logger().info("books %s", what)


@book.on_rollback
def unbook(booking):
    print("unbooks")


@task
def pay():
    raise RuntimeError("no money")


def store():
    return ResultStore(
        result_storage=LocalFileSystem(basepath="results"),
        lock_manager=FileSystemLockManager(Path("locks")),
    )


@flow(name="careful", retries=1, retry_delay_seconds=2, log_prints=True)
def careful():
    logger = get_run_logger()
    if flow_run.run_count < 2:
        raise RuntimeError("the flow fails once")
    flaky()
    try:
        with transaction():
            book("a flight")
            pay()
    except RuntimeError as error:
        logger.info("rolled back: %s", error)
    for _ in range(2):
        with transaction(
            key="journey", store=store(), isolation_level=IsolationLevel.SERIALIZABLE
        ) as journey:
            if journey.is_committed():
                logger.info("has been: %s", journey.read().result)
            else:
                journey.stage({"to": "Rome"})
                logger.info("goes")


if __name__ == "__main__":
    careful()
