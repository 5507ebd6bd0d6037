"""Every router of the API, in one list."""

from litestar.types import ControllerRouterHandler

from app.api import admin, events, logs, logs_out

ROUTE_HANDLERS: list[ControllerRouterHandler] = [
    *admin.ROUTES,
    *events.ROUTES,
    *logs.ROUTES,
    *logs_out.ROUTES,
]
