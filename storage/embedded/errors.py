"""What keeps an embedded server or its data directory from starting."""

from storage.errors import StorageError


class CannotStart(StorageError):
    """One line for the operator: what is wrong and how to mend it."""
