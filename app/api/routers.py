"""Every router of the API, in one list."""

from litestar.types import ControllerRouterHandler

from app.api import admin, logs

ROUTE_HANDLERS: list[ControllerRouterHandler] = [*admin.ROUTES, *logs.ROUTES]
