"""Requests that are well formed and cannot be carried out as things are."""

from typing import Literal, TypeAlias

# Whether the request itself makes no sense, does not fit what is kept, or does not fit a schema.
Kind: TypeAlias = Literal["bad_request", "conflict", "unprocessable"]


class Refused(Exception):
    """Nothing was changed; the message says what does not fit."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind
