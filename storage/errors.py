"""Every error the stores raise.

    StorageError
    ├── NotFound          what was asked for is not there
    ├── Conflict          a constraint refuses it; `constraint` is the constraint's name
    ├── TooMany           more rows match than anybody may ask for
    ├── InvalidValue      a value the database cannot keep (NUL in text, a number out of range)
    ├── Busy              no room or no lock now; `retry_after` says when to come back (seconds)
    ├── NoKey             no key was given to encrypt or decrypt with
    ├── WrongKey          what is kept was encrypted with another key
    └── Unavailable       PostgreSQL or S3 does not answer; `store` says which
        ├── ObjectMissing an object that the manifest names is not in the bucket
        ├── ObjectDamaged an object is there and is not what was written
        └── LinesUnreadable  log lines cannot be read because of one of these two

Driver errors become these at the edge of `storage`; `app/api/errors.py` makes HTTP of them.
"""

import datetime as dt
import uuid


class StorageError(Exception):
    """Something a store refused or could not do."""


class NotFound(StorageError):
    """What was asked for is not there."""


class Conflict(StorageError):
    """A unique, foreign-key or check constraint refuses the write."""

    def __init__(self, constraint: str, message: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class TooMany(StorageError):
    """More rows match than anybody may ask for at once."""


class InvalidValue(StorageError):
    """A value that the database cannot keep."""


class Busy(StorageError):
    """No room or no lock at this moment; nothing was stored."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoKey(StorageError):
    """This process was given no key to encrypt with."""


class WrongKey(StorageError):
    """What is kept was encrypted with another key."""


class Unavailable(StorageError):
    """A store does not answer; whether a write took effect is not known."""

    def __init__(self, store: str, message: str) -> None:
        super().__init__(message)
        self.store = store


class ObjectMissing(Unavailable):
    """An object that the manifest names is not in the bucket."""

    def __init__(self, key: str) -> None:
        super().__init__("s3", f"object {key} is missing from the bucket")
        self.key = key


class ObjectDamaged(Unavailable):
    """An object is in the bucket but is not what was written there."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__("s3", f"object {key} is damaged: {message}")
        self.key = key


class LinesUnreadable(Unavailable):
    """`rows` log lines, from `first` to `last`, cannot be read because the object `key` is missing or
    damaged: of one flow run, or with `flow_run_id` None of every run that has lines in the object.

    Trying again does not help; mending the object does.
    """

    def __init__(
        self,
        cause: ObjectMissing | ObjectDamaged,
        *,
        key: str,
        flow_run_id: uuid.UUID | None,
        rows: int,
        first: dt.datetime,
        last: dt.datetime,
    ) -> None:
        of_run = f" of flow run {flow_run_id}" if flow_run_id else ""
        super().__init__(
            "s3",
            f"{rows} lines{of_run} from {first.isoformat()} to {last.isoformat()} cannot be read: "
            f"{cause}",
        )
        self.key = key
        self.flow_run_id = flow_run_id
        self.rows = rows
        self.first = first
        self.last = last
