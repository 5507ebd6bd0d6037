"""Request bodies: one place that reads and decodes them.

The decoder is made once per route, so that its type is compiled once. The Content-Type is not
looked at: clients post JSON without one.
"""

from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from app.api.errors import InvalidRequest
from app.wire.base import PAGE_LIMIT, Json

T = TypeVar("T")

MAX_PARAMETER_BYTES = 512 * 1024

_PARAMETERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def decode_body(
    request: Request[Any, Any, Any],
    decoder: "msgspec.json.Decoder[T]",
    *,
    absent: bytes | None = None,
) -> T:
    """The body as the decoder's type. A body that is a set of parameters (its type ignores unknown
    keys) may be absent or `null`, so that a query falls back to its defaults. It may also hold null
    for any of them, which then has its default: the client sends nulls for what it was not given.
    `absent` is what another body is then, which else must be there.

    Raises:
        InvalidRequest: the body is absent, is not JSON, or does not fit the type; names the field.
    """
    body = await request.body()
    if not body or body == b"null":
        if absent is None and not _is_parameters(decoder):
            raise InvalidRequest(["body"], "Field required", kind="missing")
        body = absent or b"{}"
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        try:
            return decoder.decode(_without_null_parameters(body, decoder))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise InvalidRequest.from_msgspec(error) from error


def _without_null_parameters(body: bytes, decoder: "msgspec.json.Decoder[T]") -> bytes:
    if not _is_parameters(decoder):
        return body
    parameters = _PARAMETERS.decode(body)
    given = {name: value for name, value in parameters.items() if bytes(value) != b"null"}
    return msgspec.json.encode(given)


def _is_parameters(decoder: "msgspec.json.Decoder[T]") -> bool:
    config = getattr(decoder.type, "__struct_config__", None)
    return config is not None and not config.forbid_unknown_fields


def check_parameter_size(parameters: Json | msgspec.UnsetType | None) -> None:
    """Refuse more parameters than a run may have."""
    if not parameters:
        return
    size = len(msgspec.json.encode(parameters))
    if size > MAX_PARAMETER_BYTES:
        raise InvalidRequest(
            ["body", "parameters"],
            f"Flow run parameters must be less than {MAX_PARAMETER_BYTES:,} bytes when serialized"
            f" (got {size:,} bytes).",
        )


def check_limit(limit: int) -> None:
    """Refuse a page of less than none or more than 200 with the reference's words."""
    if limit < 0:
        raise HTTPException(
            status_code=422, detail="Invalid limit: must be greater than or equal to 0."
        )
    if limit > PAGE_LIMIT:
        raise HTTPException(
            status_code=422, detail=f"Invalid limit: must be less than or equal to {PAGE_LIMIT}."
        )
