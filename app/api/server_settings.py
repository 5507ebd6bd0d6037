"""Tailrace's own route of its settings."""

import functools
import importlib.metadata
import tomllib
from pathlib import Path

from litestar import get
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.admin import API_VERSION, PREFECT_VERSION
from app.services import Services
from app.wire.settings import ServerSettings

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@functools.cache
def _version() -> str:
    try:
        return importlib.metadata.version("tailrace")
    except importlib.metadata.PackageNotFoundError:
        # Run from its sources, without having been installed.
        project = tomllib.loads(_PROJECT.read_text("utf-8"))["project"]
        return str(project["version"])


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
