"""Tailrace's own routes: how long logs are kept, and which runs are held."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post, put
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.orchestration.log_retention import preview_retention, with_default
from app.services import Services
from app.wire.base import NIL_UUID, utc_now
from app.wire.log_retention import Expiring, Hold, HoldCreate, RetentionRules
from storage.postgres import log_retention as store
from storage.postgres.pool import connection, transaction

HOLDS_PAGE = 1000

_RULES = msgspec.json.Decoder(RetentionRules)
_HOLD = msgspec.json.Decoder(HoldCreate)


@get("/tailrace/retention")
async def read_rules(services: Services) -> RetentionRules:
    """The rules in force; runs that none fits are kept as the settings say."""
    async with connection(services.pool) as conn:
        return await store.read_rules(conn)


@put("/tailrace/retention", operation_class=takes(_RULES))
async def write_rules(request: Request[Any, Any, Any], services: Services) -> RetentionRules:
    """Replace all rules. They are applied by the job `log-retention`."""
    rules = await decode_body(request, _RULES)
    async with connection(services.pool) as conn:
        await store.write_rules(conn, rules)
    return rules


@post("/tailrace/retention/preview", status_code=200, operation_class=takes(_RULES))
async def preview(request: Request[Any, Any, Any], services: Services) -> list[Expiring]:
    """What these rules, and the settings for runs that none fits, would take now, by rule. Nothing
    changes."""
    rules = await decode_body(request, _RULES)
    in_force = with_default(rules, services.log_retention_days)
    return await preview_retention(services.pool, in_force, now=utc_now())


@get("/tailrace/holds")
async def read_holds(services: Services, after: UUID = NIL_UUID) -> list[Hold]:
    """Held runs by flow run id, at most 1,000 after `after`."""
    async with connection(services.pool) as conn:
        return await store.holds(conn, after_id=after, limit=HOLDS_PAGE)


@put("/tailrace/holds/{flow_run_id:uuid}", operation_class=takes(_HOLD))
async def hold(request: Request[Any, Any, Any], flow_run_id: UUID, services: Services) -> Hold:
    """Hold a run: it cannot be deleted, and no rule takes its logs."""
    create = await decode_body(request, _HOLD)
    async with transaction(services.pool) as conn:
        return await store.hold_run(conn, flow_run_id, create.reason)


@delete("/tailrace/holds/{flow_run_id:uuid}", status_code=204)
async def release(flow_run_id: UUID, services: Services) -> None:
    """Release a run."""
    async with connection(services.pool) as conn:
        await store.release_run(conn, flow_run_id)


ROUTES: list[ControllerRouterHandler] = [
    read_rules,
    write_rules,
    preview,
    read_holds,
    hold,
    release,
]
