"""A line of ours in the logs of a run, stored like those of its own process."""

import datetime as dt
import uuid

import msgspec

from app.services import Services
from app.wire.logs import LogCreate


async def tell_run(
    services: Services,
    flow_run_id: uuid.UUID,
    message: str,
    *,
    logger: str,
    level: int,
    now: dt.datetime,
) -> None:
    """Returns when the line is durable. It is no sign of the run's life."""
    line = LogCreate(
        name=logger,
        level=level,
        message=message,
        timestamp=now.isoformat(),
        flow_run_id=str(flow_run_id),
    )
    await services.ingest.append(msgspec.json.encode([line]), [line], from_client=False)
