"""Names of work pools."""

import msgspec

from app.wire.base import Name


def is_reserved(name: str) -> bool:
    """Whether users may not make or delete a pool of that name."""
    return name.lower().startswith("prefect")


def is_name(name: str) -> bool:
    """Whether a pool may have that name at all."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        return False
    return True
