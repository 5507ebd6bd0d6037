"""`create_app`: routers, error map, access, lifespan. No logic of its own."""

import contextlib
from collections.abc import AsyncIterator

import msgspec
from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide

from app.api.access import Access, AccessMiddleware
from app.api.dependencies import provide_access, provide_services
from app.api.documentation import DocumentConfig
from app.api.errors import EXCEPTION_HANDLERS
from app.api.log_posts import LogPosts
from app.api.otlp import ROUTES as OTLP_ROUTES
from app.api.otlp_refusals import OtlpRefusals
from app.api.request_bodies import RequestBodies
from app.api.routers import ROUTE_HANDLERS
from app.api.web_ui import web_ui
from app.services import ServicesConfig, open_services
from storage.objects.store import S3Config

# Parameters may be 512 KiB, a batch of logs 3 MB; a body beyond this is refused with 413.
MAX_BODY_BYTES = 8 * 1024**2


@contextlib.asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    async with open_services(app.state.services_config) as services:
        app.state.services = services
        yield


def create_app(config: ServicesConfig, *, auth_string: str | None = None) -> Litestar:
    """The ASGI application. `auth_string` is `user:password`; None leaves every route open.

    What its lifespan opens is `state.services`, of `state.services_config`."""
    access = Access(auth_string)
    app = Litestar(
        route_handlers=[
            Router(path="/api", route_handlers=ROUTE_HANDLERS),
            *OTLP_ROUTES,
            *web_ui(),
        ],
        lifespan=[_lifespan],
        state=State({"access": access, "services_config": config}),
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "access": Provide(provide_access, sync_to_thread=False),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        compression_config=CompressionConfig(
            backend="gzip", gzip_compress_level=1, exclude_opt_key="skip_from_compression"
        ),
        cors_config=CORSConfig(allow_origins=["*"]),
        openapi_config=DocumentConfig(title="Tailrace", version="0.8.4", path="/api/docs"),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    bodies = RequestBodies(app.asgi_handler, max_body_bytes=MAX_BODY_BYTES)
    exports = OtlpRefusals(bodies)
    posts_first = LogPosts(exports, app.state, max_body_bytes=MAX_BODY_BYTES)
    app.asgi_handler = AccessMiddleware(access)(posts_first)
    return app


def openapi_document() -> bytes:
    """What `/api/docs/openapi.json` answers, without a server: types of the UI are made from it."""
    nowhere = ServicesConfig(database_url="", s3=S3Config(bucket=""))
    document = create_app(nowhere).openapi_schema.to_schema()
    return msgspec.json.encode(document, enc_hook=str)
