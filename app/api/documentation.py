"""The OpenAPI document: what a route takes and gives where the framework cannot see it, and errors.

A route decodes its body itself, and errors become answers in one place (`app.api.errors`), so the
framework knows neither. A document that names an error wrongly is worse than one that is silent: the
validation error of status 400 that the framework would name for each parameter is 422 here.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import (
    Components,
    Info,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
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


def takes(
    decoder: "msgspec.json.Decoder[T]", *, also: int | None = None, files: tuple[str, ...] = ()
) -> type[Operation]:
    """The operation of a route that decodes its body with `decoder`:
    `@post("/flows/", operation_class=takes(_CREATE))`. `also` is a status that answers the same as the
    route's own does, such as 200 of one that makes what may be there already. Of `files` see `gives`."""
    (schema,), components = msgspec.json.schema_components((decoder.type,), ref_template="{name}")
    content = {"application/json": OpenAPIMediaType(_JsonSchema(_inlined(schema, components)))}
    body = RequestBody(content=content, required=not _may_be_absent(decoder))
    return _documented(body, also=also, files=files)


def takes_message(name: str, *media_types: str) -> type[Operation]:
    """The operation of a route that takes a message of somebody else's protocol, in several forms."""
    schema = Schema(type=OpenAPIType.OBJECT, title=name)
    content = {each: OpenAPIMediaType(schema) for each in media_types}
    return _documented(RequestBody(content=content, required=True))


def gives(*media_types: str) -> type[Operation]:
    """The operation of a route that answers a file of one of several media types."""
    return _documented(None, files=media_types)


def _documented(
    body: RequestBody | None, *, also: int | None = None, files: tuple[str, ...] = ()
) -> type[Operation]:
    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            if body is not None:
                self.request_body = body
            answers = self.responses or {}
            status, answer = next(iter(answers.items()))
            if also is not None:
                answers[str(also)] = answer
            if files and isinstance(answer, OpenAPIResponse):
                file = OpenAPIMediaType(Schema(type=OpenAPIType.STRING))
                answers[status] = OpenAPIResponse(
                    description=answer.description, content=dict.fromkeys(files, file)
                )

    return Documented


class Document(OpenAPI):
    """The framework's document with the errors that routes answer, and unions as they are decoded."""

    @override
    def to_schema(self) -> dict[str, Any]:
        document = _unions_of_any(super().to_schema())
        document["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
        for path in document["paths"].values():
            for operation in path.values():
                answers: dict[str, Any] = operation["responses"]
                answers.pop("400", None)
                if "parameters" in operation or "requestBody" in operation:
                    answers["422"] = _problem("A parameter or a field of the body does not fit.")
                answers["default"] = _problem("What else went wrong, and what would mend it.")
        return document


class DocumentConfig(OpenAPIConfig):
    """Makes a `Document`."""

    @override
    def to_openapi_schema(self) -> OpenAPI:
        return Document(
            info=Info(title=self.title, version=self.version),
            paths={},
            components=Components(),
            servers=self.servers,
        )


_PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request was refused: `detail`, or `exception_message`, which may have the"
    " places in the request that do not fit.",
    "properties": {
        "detail": {"type": "string"},
        "exception_message": {"type": "string"},
        "exception_detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "loc": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    },
                    "msg": {"type": "string"},
                },
                "required": ["type", "loc", "msg"],
            },
        },
    },
}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _unions_of_any(node: Any) -> Any:
    """The schema with `anyOf` for `oneOf` where no discriminator tells the kinds apart: 1 is an
    integer and a number."""
    if isinstance(node, list):
        return [_unions_of_any(item) for item in node]
    if not isinstance(node, dict):
        return node
    told_apart = "discriminator" in node
    return {
        "anyOf" if key == "oneOf" and not told_apart else key: _unions_of_any(value)
        for key, value in node.items()
    }


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
