"""What the server says about itself, and the default result storage."""

import asyncio
from typing import Any

import msgspec
import structlog
from litestar import Request, Response, delete, get, put
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromQuery
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.bodies import decode_body
from app.api.documentation import takes
from app.services import Services
from app.wire.admin import DefaultResultStorage, DefaultResultStorageUpdate
from app.wire.base import PAGE_LIMIT, Json
from storage.errors import InvalidValue, StorageError
from storage.postgres import result_storage
from storage.postgres.pool import connection

API_VERSION = "0.8.4"
# Clients compare this with their own version and warn when the server's is lower.
PREFECT_VERSION = "3.8.8"
# A load balancer's probe gives up after a few seconds; answer before it does.
READY_TIMEOUT_SECONDS = 2.0
MASK = "********"

_log = structlog.get_logger("tailrace.api")
_update_decoder = msgspec.json.Decoder(DefaultResultStorageUpdate)


@get("/health")
async def read_health() -> bool:
    """True as long as the process answers; asks nobody else."""
    return True


@get("/ready")
async def read_ready(services: NamedDependency[Services]) -> Response[Json]:
    """200 when PostgreSQL and the bucket answer, else 503 with the names of those that do not."""
    missing = [
        store
        for store, answers in zip(
            ("postgres", "s3"),
            await asyncio.gather(_answers("postgres", services), _answers("s3", services)),
            strict=True,
        )
        if not answers
    ]
    if missing:
        return Response(
            {"message": f"{' and '.join(missing)} not available", "unavailable": missing},
            status_code=503,
        )
    return Response({"message": "OK"})


async def _answers(store: str, services: Services) -> bool:
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            if store == "s3":
                await services.objects.check()
            else:
                async with connection(services.pool) as conn:
                    await conn.fetchval("SELECT 1")
    except (StorageError, TimeoutError) as error:
        _log.warning("store not ready", store=store, error=str(error) or type(error).__name__)
        return False
    return True


@get("/version")
async def read_api_version() -> Response[str]:
    """The version of the wire protocol."""
    return _json_text(API_VERSION)


@get("/hello")
async def read_hello() -> Response[str]:
    """A greeting."""
    return _json_text("👋")


@get("/admin/version")
async def read_prefect_version() -> Response[str]:
    """The Prefect release whose protocol this server speaks."""
    return _json_text(PREFECT_VERSION)


def _json_text(text: str) -> Response[str]:
    # Litestar sends a str as it is; clients want a JSON string.
    return Response(msgspec.json.encode(text).decode(), media_type="application/json")


@get("/admin/settings")
async def read_settings(access: NamedDependency[Access]) -> Json:
    """The server's settings under the reference's names, as far as this server has them."""
    return {
        "server": {
            "api": {
                "auth_string": MASK if access.required else None,
                "default_limit": PAGE_LIMIT,
                "csrf_protection_enabled": False,
                "max_parameter_size": 512 * 1024,
            },
            "events": {"stream_out_enabled": True, "maximum_size_bytes": 1_500_000},
            "logs": {"stream_out_enabled": True, "stream_publishing_enabled": True},
            "tasks": {"tag_concurrency_slot_wait_seconds": 10.0, "max_cache_key_length": 2000},
        }
    }


@get("/admin/storage")
async def read_storage(services: NamedDependency[Services]) -> DefaultResultStorage:
    """The default result storage."""
    async with connection(services.pool) as conn:
        found = await result_storage.read_default_result_storage(conn)
    return DefaultResultStorage(default_result_storage_block_id=found)


@put("/admin/storage", operation_class=takes(_update_decoder))
async def set_storage(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> DefaultResultStorage:
    """Set the default result storage; 404 for an unknown block document, 422 for one that stores
    nothing."""
    update = await decode_body(request, _update_decoder)
    block_id = update.default_result_storage_block_id
    try:
        async with connection(services.pool) as conn:
            await result_storage.set_default_result_storage(conn, block_id)
    except InvalidValue as error:
        raise HTTPException(status_code=422, detail=str(error)) from error
    return DefaultResultStorage(default_result_storage_block_id=block_id)


@delete("/admin/storage")
async def clear_storage(services: NamedDependency[Services]) -> None:
    """Have no default result storage."""
    async with connection(services.pool) as conn:
        await result_storage.clear_default_result_storage(conn)


@get("/csrf-token")
async def read_csrf_token(client: FromQuery[str]) -> None:
    """Always 422: the answer that makes clients stop asking for tokens."""
    raise HTTPException(status_code=422, detail="CSRF protection is disabled.")


ROUTES: list[ControllerRouterHandler] = [
    read_health,
    read_ready,
    read_api_version,
    read_hello,
    read_prefect_version,
    read_settings,
    read_storage,
    set_storage,
    clear_storage,
    read_csrf_token,
]
