"""Litestar providers that hand out what `create_app` and its lifespan made."""

from litestar.datastructures import State

from app.api.access import Access
from app.services import Services


def provide_services(state: State) -> Services:
    """The services that the lifespan opened."""
    services: Services = state.services
    return services


def provide_access(state: State) -> Access:
    """Who may call."""
    access: Access = state.access
    return access
