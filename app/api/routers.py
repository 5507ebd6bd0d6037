"""Every router of the API, in one list."""

from litestar.types import ControllerRouterHandler

from app.api import logs

ROUTE_HANDLERS: list[ControllerRouterHandler] = [*logs.ROUTES]
