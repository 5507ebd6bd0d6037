"""Tailrace's own route of its settings."""

import importlib.metadata

from litestar import get
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.admin import API_VERSION, PREFECT_VERSION
from app.services import Services
from app.wire.settings import ServerSettings


def _version() -> str:
    try:
        return importlib.metadata.version("tailrace")
    except importlib.metadata.PackageNotFoundError:
        # Run from its sources.
        return "unknown"


@get("/tailrace/settings", sync_to_thread=False)
def read_settings(services: Services, access: Access) -> ServerSettings:
    """Versions, and each setting with where it comes from. Secrets are masked."""
    return ServerSettings(
        version=_version(),
        protocol_version=API_VERSION,
        prefect_version=PREFECT_VERSION,
        access_required=access.required,
        settings=list(services.settings),
    )


ROUTES: list[ControllerRouterHandler] = [read_settings]
