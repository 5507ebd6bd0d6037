"""Bad input for every route, made from the reference's own description of what is good.

A body that fits is made from its schema, as small as it can be. Then one thing after another is made
wrong in it: each field is of another type, is missing, is null, is beyond its bounds, is no member of
its enumeration, holds a NUL; a field is too many; the body is no object. What a schema refers to is
made wrong where it is first seen, for it is the same elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NOBODY = "00000000-0000-4000-8000-000000000000"
# What each type of JSON is not.
_WRONG: Mapping[str, tuple[Any, ...]] = {
    "string": (5, "a\0b"),
    "integer": ("x", 2**70),
    "number": ("x",),
    "boolean": ("x",),
    "array": ("x",),
    "object": ("x",),
}


@dataclass(slots=True)
class Mutations:
    """Of the bodies of a document's operations."""

    components: Mapping[str, Any]
    _seen: set[str] = field(default_factory=set)

    def bodies(self, operation: Mapping[str, Any]) -> Iterator[Any]:
        """Bodies for the operation, the one that fits first; none if it takes no JSON."""
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return
        schema = content["schema"]
        fitting = self.fitting(schema)
        yield fitting
        yield from self._mutated(schema, fitting)
        if isinstance(fitting, dict):
            yield {**fitting, "surprise": 1}
            if "limit" in self._resolved(schema).get("properties", {}):
                yield {**fitting, "limit": -1}
                yield {**fitting, "limit": 201}
        if not schema.get("$ref", "").rpartition("/")[2].startswith("Body_"):
            # Of the others each field is said to be missing, which is one way to put it.
            yield 5

    def fitting(self, schema: Mapping[str, Any]) -> Any:
        """The smallest value that fits."""
        schema = self._resolved(schema)
        if "default" in schema and schema["default"] is not None:
            return schema["default"]
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        match schema.get("type"):
            case "string":
                return _text(schema)
            case "integer" | "number":
                return int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
            case "boolean":
                return False
            case "array":
                nothing: list[Any] = []
                return nothing
            case "object":
                properties = schema.get("properties", {})
                return {
                    name: self.fitting(properties.get(name, {}))
                    for name in schema.get("required", [])
                }
        anything: dict[str, Any] = {}
        return anything

    def _mutated(self, schema: Mapping[str, Any], fitting: Any) -> Iterator[Any]:
        """Values that are wrong in one place."""
        schema = self._resolved(schema)
        if not isinstance(fitting, dict):
            return
        for name, inner in schema.get("properties", {}).items():
            for wrong in self._wrong(inner):
                yield {**fitting, name: wrong}
        for name in schema.get("required", []):
            yield {key: value for key, value in fitting.items() if key != name}

    def _wrong(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        reference = schema.get("$ref")
        options = [option for option in _options(schema) if option.get("type") != "null"]
        if reference is None and len(options) == 1:
            reference = options[0].get("$ref")
        if reference is not None and reference in self._seen:
            return
        if reference is not None:
            self._seen.add(reference)
            inner = self._resolved({"$ref": reference})
            fitting = self.fitting(inner)
            yield from self._mutated(inner, fitting)
            if isinstance(fitting, dict):
                yield {**fitting, "surprise": 1}
        if len(options) == len(_options(schema)):
            yield None
        resolved = self._resolved(schema)
        for wrong in _WRONG.get(resolved.get("type", ""), ()):
            if not _takes(options, wrong):
                yield wrong
        if resolved.get("type") == "array":
            item = self._resolved(resolved.get("items", {}))
            for wrong in _WRONG.get(item.get("type", ""), ())[:1]:
                yield [wrong]
        if "enum" in resolved:
            yield "NO_SUCH"
        if resolved.get("format") in ("uuid", "date-time"):
            yield "no"
        if "minimum" in resolved:
            yield resolved["minimum"] - 1
        if "exclusiveMinimum" in resolved:
            yield resolved["exclusiveMinimum"]
        if "maximum" in resolved:
            yield resolved["maximum"] + 1
        if "maxLength" in resolved:
            yield "x" * (resolved["maxLength"] + 1)
        if "pattern" in resolved:
            yield "a/b %"

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the schema comes to: behind references, and the first of alternatives."""
        while True:
            if "$ref" in schema:
                schema = self.components[schema["$ref"].rpartition("/")[2]]
                continue
            options = [option for option in _options(schema) if option.get("type") != "null"]
            if not options or options == [schema]:
                return schema
            schema = options[0]


def _options(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or [schema]


def _takes(options: list[Mapping[str, Any]], value: Any) -> bool:
    """Whether another alternative might be meant."""
    names = {str: "string", int: "integer", float: "number", list: "array"}
    return len(options) > 1 and any(
        option.get("type") in (None, names.get(type(value))) for option in options
    )


def _text(schema: Mapping[str, Any]) -> str:
    match schema.get("format"):
        case "uuid":
            return NOBODY
        case "date-time":
            return "2026-01-01T00:00:00Z"
    return "x" * max(1, schema.get("minLength", 1))
