"""Who brought a flow run into its states, and why: Tailrace's own, nothing of the reference's."""

import datetime as dt
import uuid
from typing import Literal, TypeAlias, get_args

import msgspec

from app.wire.states import StateDetails, StateType

AuthorKind: TypeAlias = Literal[
    "client", "flow", "worker", "person", "job", "automation", "unknown"
]
MAX_NAME_CHARACTERS = 200
_KINDS: dict[str, AuthorKind] = {kind: kind for kind in get_args(AuthorKind)}


class StateAuthor(msgspec.Struct, frozen=True, kw_only=True):
    """Who proposed a state: a `flow` that runs, a `worker`, a `person` in the web UI, a `job` of this
    server or an `automation`, with its name; a `client` is any other; `unknown` is from before this was
    kept, or of another server."""

    kind: AuthorKind
    name: str | None = None

    def text(self) -> str:
        """As it is kept."""
        if not self.name:
            return self.kind
        # PostgreSQL keeps no NUL.
        name = self.name[:MAX_NAME_CHARACTERS].replace("\0", "")
        return f"{self.kind}:{name}"


def author_from(text: str | None) -> StateAuthor:
    """From what is kept."""
    kind, _, name = (text or "").partition(":")
    return StateAuthor(kind=_KINDS.get(kind, "unknown"), name=name or None)


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A state that a flow run was brought into, by whom, and why as far as that was said."""

    id: uuid.UUID
    type: StateType
    name: str
    timestamp: dt.datetime
    message: str | None
    state_details: StateDetails
    by: StateAuthor
    why: str | None
