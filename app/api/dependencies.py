"""Litestar providers that hand out `Services`."""

from litestar.datastructures import State

from app.services import Services


def provide_services(state: State) -> Services:
    """The services that the lifespan opened."""
    services: Services = state.services
    return services
