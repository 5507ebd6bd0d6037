"""What a run keeps for later: blocks with secrets, artifacts; and task runs that share slots."""

import sys
import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.concurrency.sync import rate_limit
from prefect.filesystems import LocalFileSystem
from pydantic import SecretStr


class Login(Block):
    """Who somebody is."""

    user: str
    password: SecretStr


class Mailbox(Block):
    """Where somebody's letters are."""

    host: str
    login: Login


@flow(name="blocks")
def blocks():
    logger = get_run_logger()
    Secret(value="hush").save("mine")
    Secret(value={"hush": 2}).save("mine", overwrite=True)
    logger.info("secret: %s", Secret.load("mine").get())
    LocalFileSystem(basepath="/tmp/somewhere").save("files")
    logger.info("files: %s", LocalFileSystem.load("files").basepath)
    login = Login(user="me", password="hush")
    login.save("login")
    Mailbox(host="post", login=login).save("mailbox")
    mailbox = Mailbox.load("mailbox")
    logger.info("mailbox: %s %s", mailbox.login.user, mailbox.login.password.get_secret_value())
    try:
        Secret.load("nobody-saved-it")
    except ValueError as error:
        logger.info("missing: %s", type(error).__name__)


@flow(name="artifacts")
def artifacts():
    create_markdown_artifact("# first", key="report")
    create_markdown_artifact("# second", key="report", description="the newer one")
    create_table_artifact([{"a": 1}, {"a": 2}], key="table")
    progress = create_progress_artifact(0.0, key="progress")
    update_progress_artifact(progress, 75.0)


@task(tags=["scarce"])
def scarce(number: int) -> int:
    logger = get_run_logger()
    logger.info("enter %s", time.time())
    time.sleep(0.3)
    logger.info("leave %s", time.time())
    return number


@flow(name="slots")
def slots():
    logger = get_run_logger()
    results = scarce.map(list(range(4))).result()
    logger.info("scarce: %s", results)
    for _ in range(4):
        rate_limit("two-a-second")
        logger.info("passed %s", time.time())


if __name__ == "__main__":
    {"blocks": blocks, "artifacts": artifacts, "slots": slots}[sys.argv[1]]()
