"""Flows that one process serves until SIGTERM; what happens to their runs is up to the tests."""

import witness  # noqa: F401
from deployed import around, deployed
from halting import pausing, suspending
from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

if __name__ == "__main__":
    serve(
        deployed.to_deployment("on-call"),
        around.to_deployment("on-call"),
        pausing.to_deployment("on-call"),
        suspending.to_deployment("on-call"),
        deployed.to_deployment("one-by-one", concurrency_limit=1),
        deployed.to_deployment(
            "only-one",
            concurrency_limit=ConcurrencyLimitConfig(
                limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
            ),
        ),
        limit=10,
    )
