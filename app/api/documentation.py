"""What a route says in the OpenAPI document about the body it decodes itself."""

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from typing_extensions import override

T = TypeVar("T")


class _JsonSchema(Schema):
    """A schema that is JSON already."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        self._document = document

    @override
    def to_schema(self) -> dict[str, Any]:
        return self._document


def takes(decoder: "msgspec.json.Decoder[T]") -> type[Operation]:
    """The operation of a route that decodes its body with `decoder`:
    `@post("/flows/", operation_class=takes(_CREATE))`."""
    (schema,), components = msgspec.json.schema_components((decoder.type,), ref_template="{name}")
    return _taking(
        {"application/json": OpenAPIMediaType(_JsonSchema(_inlined(schema, components)))},
        required=not _may_be_absent(decoder),
    )


def takes_message(name: str, *media_types: str) -> type[Operation]:
    """The operation of a route that takes a message of somebody else's protocol, in several forms."""
    schema = Schema(type=OpenAPIType.OBJECT, title=name)
    content = {each: OpenAPIMediaType(schema) for each in media_types}
    return _taking(content, required=True)


def _taking(content: dict[str, OpenAPIMediaType], *, required: bool) -> type[Operation]:
    body = RequestBody(content=content, required=required)

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return Documented


def _may_be_absent(decoder: "msgspec.json.Decoder[T]") -> bool:
    """Whether defaults say everything: an absent body is read as an empty object."""
    try:
        decoder.decode(b"{}")
    except msgspec.ValidationError:
        return False
    return True


def _inlined(schema: Any, components: dict[str, Any]) -> Any:
    """The schema with what it refers to put in place: no body refers to itself."""
    if isinstance(schema, list):
        return [_inlined(item, components) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"]], components)
    return {
        key: value if key in ("default", "enum") else _inlined(value, components)
        for key, value in schema.items()
        # It maps to components by name, and what is inlined has none.
        if key != "discriminator"
    }
