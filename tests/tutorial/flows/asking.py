"""A flow that asks for runs of a deployment: some that it gets, and some that are refused."""

import witness  # noqa: F401
from prefect import flow, get_run_logger
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

DEPLOYMENT = "deployed/on-call"


@flow(name="asking")
def asking():
    logger = get_run_logger()
    awaited = run_deployment(DEPLOYMENT, parameters={"number": 7}, poll_interval=0.5)
    logger.info("awaited: %s %s", awaited.state.name, awaited.id)
    asked = {"flow_run_name": "by-itself", "tags": ["asked"], "as_subflow": False}
    left = run_deployment(DEPLOYMENT, parameters={"number": 8}, timeout=0, **asked)
    logger.info("left: %s %s", left.state.name, left.id)
    for wrong in ({"number": "many"}, {}):
        try:
            run_deployment(DEPLOYMENT, parameters=wrong, timeout=0, as_subflow=False)
        except PrefectHTTPStatusError as error:
            detail = error.response.json()["detail"]
            logger.info("refused: %s %s", error.response.status_code, detail)
    try:
        run_deployment("deployed/nobody-made-it", timeout=0)
    except ObjectNotFound:
        logger.info("not found")


if __name__ == "__main__":
    asking()
