"""Artifacts on the wire: what runs leave behind for people to look at. `data` is any JSON and stays
the text that came."""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import PAGE_LIMIT
from app.wire.filters import AnyId, AnyOrNotText, NonNegative, Operator, Selection

ArtifactKey = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]*$(?!\n)")]
ArtifactSort: TypeAlias = Literal["CREATED_DESC", "UPDATED_DESC", "ID_DESC", "KEY_DESC", "KEY_ASC"]


class ArtifactCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /artifacts/`."""

    key: ArtifactKey | None = None
    type: str | None = None
    description: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    metadata_: dict[str, str] | None = None
    flow_run_id: uuid.UUID | None = None
    task_run_id: uuid.UUID | None = None


class ArtifactUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /artifacts/{id}`; what is absent stays as it is."""

    description: str | None | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    metadata_: dict[str, str] | None | msgspec.UnsetType = msgspec.UNSET


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact as it is answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    key: str | None
    type: str | None
    description: str | None
    data: msgspec.Raw
    metadata_: dict[str, str] | None
    flow_run_id: uuid.UUID | None
    task_run_id: uuid.UUID | None


class ArtifactCollection(msgspec.Struct, frozen=True, kw_only=True):
    """All artifacts of one key, shown as the newest of them. `id` follows from the key."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    key: str
    latest_id: uuid.UUID
    type: str | None
    description: str | None
    data: msgspec.Raw
    metadata_: dict[str, str] | None
    flow_run_id: uuid.UUID | None
    task_run_id: uuid.UUID | None


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these keys, a substring in any case, or whether there is a key."""

    any_: list[str] | None = None
    like_: str | None = None
    exists_: bool | None = None


class ArtifactFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which artifacts."""

    operator: Operator = "and_"
    id: AnyId | None = None
    key: KeyFilter | None = None
    flow_run_id: AnyId | None = None
    task_run_id: AnyId | None = None
    type: AnyOrNotText | None = None


class ArtifactCollectionFilter(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Which keys, by their newest artifact."""

    operator: Operator = "and_"
    latest_id: AnyId | None = None
    key: KeyFilter | None = None
    flow_run_id: AnyId | None = None
    task_run_id: AnyId | None = None
    type: AnyOrNotText | None = None


class ArtifactSelection(Selection, frozen=True, kw_only=True):
    """The body of `POST /artifacts/count`."""

    artifacts: ArtifactFilter | None = None


class ArtifactQuery(ArtifactSelection, frozen=True, kw_only=True):
    """The body of `POST /artifacts/filter`."""

    sort: ArtifactSort = "ID_DESC"
    offset: NonNegative = 0
    limit: NonNegative = PAGE_LIMIT


class ArtifactCollectionSelection(Selection, frozen=True, kw_only=True):
    """The body of `POST /artifacts/latest/count`."""

    artifacts: ArtifactCollectionFilter | None = None


class ArtifactCollectionQuery(ArtifactCollectionSelection, frozen=True, kw_only=True):
    """The body of `POST /artifacts/latest/filter`."""

    sort: ArtifactSort = "ID_DESC"
    offset: NonNegative = 0
    limit: NonNegative = PAGE_LIMIT
