"""Values against a JSON schema. Pure: references outside the schema are not fetched."""

import jsonschema
import referencing
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from referencing.exceptions import Unresolvable
from referencing.jsonschema import SchemaRegistry

from app.wire.base import Json

# Given by hand, or the validator would fetch what a schema refers to over the network.
_NOTHING_ELSE: SchemaRegistry = referencing.Registry()


def why_invalid(values: Json, schema: Json) -> str | None:
    """None if the values fit, else why not, with the field named."""
    validator_class = jsonschema.validators.validator_for(
        schema, default=jsonschema.Draft202012Validator
    )
    try:
        validator_class.check_schema(schema)
        error = best_match(validator_class(schema, registry=_NOTHING_ELSE).iter_errors(values))
    except (SchemaError, Unresolvable) as unusable:
        return f"The schema cannot be used. {str(unusable).splitlines()[0]}"
    return _reason(error) if error is not None else None


def _reason(error: ValidationError) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    where = f" for field '{path}'" if path else ""
    return f"Validation failed{where}. Failure reason: {error.message}"
