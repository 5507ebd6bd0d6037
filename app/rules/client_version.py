"""What a client of some version knows. Pure; None is a client that did not say."""

from functools import lru_cache

from packaging.version import InvalidVersion, Version

from app.wire.facts import Client

# The first that renews the lease on its deployment's slot.
_RENEWS_LEASES = Version("3.4.11")
# The first API version with pauses.
_KNOWS_PAUSES = (0, 8, 4)
# Their workers take and give back the deployment's slot themselves.
_TAKES_SLOTS_ITSELF = frozenset({"3.0.0rc20", "3.0.0", "3.0.1", "3.0.2", "3.0.3"})


@lru_cache(maxsize=256)
def _is_at_least(version: str, least: Version) -> bool:
    try:
        return Version(version) >= least
    except InvalidVersion:
        return False


def renews_leases(client: Client) -> bool:
    """Whether it renews the lease on its deployment's slot while it runs."""
    return client.version is not None and _is_at_least(client.version, _RENEWS_LEASES)


def takes_slots_itself(client: Client) -> bool:
    """Whether it looks after the deployment's slots itself."""
    return client.version in _TAKES_SLOTS_ITSELF


def knows_pauses(client: Client) -> bool:
    """Whether what the server remembers of pauses and retries concerns it."""
    return client.api_version is None or client.api_version >= _KNOWS_PAUSES
