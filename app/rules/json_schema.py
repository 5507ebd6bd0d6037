"""Values against a JSON schema. Pure: references outside the schema are not fetched.

Schemas come from clients of many ages, so what older ones write in a way that a current validator
reads differently is put right first: a property that is not required may be null, `items` as a list
means one schema per place, and where a block document is expected a reference to one will do.
"""

import copy
import functools
from typing import Any

import jsonschema
import msgspec
import referencing
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.protocols import Validator
from referencing.exceptions import Unresolvable
from referencing.jsonschema import SchemaRegistry

from app.wire.base import Json

# Given by hand, or the validator would fetch what a schema refers to over the network.
NOTHING_ELSE: SchemaRegistry = referencing.Registry()
# A schema costs milliseconds to check, and a deployment's is asked about for each of its runs.
_KEPT_VALIDATORS = 256

_BLOCK_REFERENCE: Json = {
    "type": "object",
    "properties": {
        "$ref": {
            "oneOf": [
                {"type": "string", "format": "uuid"},
                {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "minProperties": 1,
                },
            ]
        }
    },
    "required": ["$ref"],
}


class CircularSchema(ValueError):
    """The schema refers to itself without end."""


def why_unusable(schema: Json) -> str | None:
    """None if it is a JSON schema, else why not."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return str(error.message)
    return None


def why_invalid(
    values: Json,
    schema: Json,
    *,
    ignore_required: bool = False,
    null_for_default: bool = False,
) -> str | None:
    """None if the values fit, else why not, with the field named. With `ignore_required` nothing
    need be there; with `null_for_default` a property that has a default may be null.

    Raises:
        CircularSchema: it refers to itself without end.
    """
    error = _first_error(values, schema, ignore_required, null_for_default)
    if error is None or isinstance(error, str):
        return error
    path = error.json_path.removeprefix("$").removeprefix(".")
    where = f" for field '{path}'" if path else ""
    return f"Validation failed{where}. Failure reason: {error.message}"


def what_is_wrong(values: Json, schema: Json, *, ignore_required: bool = False) -> str | None:
    """As `why_invalid`, but the bare complaint, without the field. Raises as it does."""
    error = _first_error(values, schema, ignore_required, null_for_default=False)
    return error.message if isinstance(error, ValidationError) else error


def _first_error(
    values: Json, schema: Json, ignore_required: bool, null_for_default: bool
) -> ValidationError | str | None:
    try:
        validator = _validator(msgspec.json.encode(schema), ignore_required, null_for_default)
        return best_match(validator.iter_errors(values))
    except (SchemaError, Unresolvable) as unusable:
        return f"The schema cannot be used. {str(unusable).splitlines()[0]}"
    except RecursionError as error:
        raise CircularSchema(
            "Invalid schema: Unable to validate schema with circular references."
        ) from error


@functools.lru_cache(maxsize=_KEPT_VALIDATORS)
def _validator(schema_text: bytes, ignore_required: bool, null_for_default: bool) -> Validator:
    schema = put_right(msgspec.json.decode(schema_text), null_for_default=null_for_default)
    if ignore_required:
        schema = _without_required(schema)
    validator_class = jsonschema.validators.validator_for(
        schema, default=jsonschema.Draft202012Validator
    )
    validator_class.check_schema(schema)
    return validator_class(schema, registry=NOTHING_ELSE)


def put_right(schema: Json, *, null_for_default: bool = False) -> Json:
    """The schema as a current validator must read it."""
    schema = copy.deepcopy(schema)
    _put_properties_right(schema, null_for_default)
    definitions = schema.get("definitions")
    if not isinstance(definitions, dict):
        return schema
    for name, definition in list(definitions.items()):
        if not isinstance(definition, dict):
            continue
        _put_properties_right(definition, null_for_default)
        if "block_type_slug" in definition:
            title = definition.get("title", name)
            definitions[title] = {"oneOf": [definition, _BLOCK_REFERENCE]}
    return schema


def _put_properties_right(schema: Json, null_for_default: bool) -> None:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return
    for name, each in properties.items():
        if not isinstance(each, dict):
            continue
        may_be_null = not (isinstance(required, list) and name in required)
        if (
            may_be_null
            and each.get("type", "null") != "null"
            and ("default" not in each or null_for_default)
        ):
            each["anyOf"] = [{"type": each.pop("type")}, {"type": "null"}]
        if each.get("items") and isinstance(each["items"], list) and not each.get("prefixItems"):
            each["prefixItems"] = each.pop("items")
        _put_properties_right(each, null_for_default)


def _without_required(value: Any) -> Any:
    """The schema without `required`, however deep; nothing else by that name is kept either."""
    if isinstance(value, dict):
        return {key: _without_required(item) for key, item in value.items() if key != "required"}
    if isinstance(value, list):
        return [_without_required(item) for item in value]
    return value
