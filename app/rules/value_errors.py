"""What is wrong with values that a form holds, each complaint at the place it is about.

The form is filled in by hand and checked while it is: values that are templates cannot be judged
before there is a run, and a value that cannot be made is complained about where it stands.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from app.rules.hydration import Unmade
from app.rules.json_schema import NOTHING_ELSE, CircularSchema, put_right
from app.wire.base import Json
from app.wire.schema_values import Complaint, ErrorsAt

_2020 = jsonschema.Draft202012Validator
_UNMADE = "unmade"


class UnusableSchema(ValueError):
    """The schema cannot be used, and why."""


def errors_of_values(values: object, schema: Json) -> list[Complaint]:
    """Everything that is wrong with the values, `Unmade` ones among them, as a tree.

    Raises:
        UnusableSchema: it is no JSON schema, or refers to what is not in it.
        CircularSchema: it refers to itself without end.
    """
    try:
        _2020.check_schema(schema, format_checker=_2020.FORMAT_CHECKER)
        validator = _Validator(
            put_right(schema), format_checker=_2020.FORMAT_CHECKER, registry=NOTHING_ELSE
        )
        errors = list(validator.iter_errors(values))
    except SchemaError as error:
        raise UnusableSchema(str(error.message)) from error
    except Unresolvable as error:
        raise UnusableSchema(f"Validation failed. Failure reason: {error}") from error
    except RecursionError as error:
        raise CircularSchema(
            "Invalid schema: Unable to validate schema with circular references."
        ) from error
    tree: list[Complaint] = []
    for error in _worth_saying(errors):
        _put(tree, _place(error), error.message)
    return tree


def _cannot_be_made(
    validator: object, value: object, instance: object, schema: object
) -> Iterator[ValidationError]:
    if isinstance(instance, Unmade) and instance.why is not None:
        yield ValidationError(instance.why)


def _keywords(schema: Any) -> Iterable[tuple[str, Any]]:
    """Every schema asks one thing more than it says: that its value was made."""
    return {**schema, _UNMADE: None}.items()


def _id_of(schema: Any) -> str:
    return _2020.ID_OF(schema) or ""


_Validator = jsonschema.validators.create(
    meta_schema=_2020.META_SCHEMA,
    validators={**_2020.VALIDATORS, _UNMADE: _cannot_be_made},
    type_checker=_2020.TYPE_CHECKER,
    format_checker=_2020.FORMAT_CHECKER,
    id_of=_id_of,
    applicable_validators=_keywords,
)


def _worth_saying(errors: list[ValidationError]) -> Iterator[ValidationError]:
    """Without what follows only from a value not being made."""
    unmade = {tuple(error.path) for error in errors if error.validator == _UNMADE}
    for error in errors:
        if error.validator == _UNMADE or (
            tuple(error.path) not in unmade and not isinstance(error.instance, Unmade)
        ):
            yield error


def _place(error: ValidationError) -> list[str | int]:
    """Where the form shows it: a property that is missing, where it would be."""
    place = list(error.path)
    if error.validator == "required" and isinstance(error.validator_value, list):
        place += [
            name
            for name in error.validator_value
            if error.message == f"{name!r} is a required property"
        ][:1]
    return place


def _put(tree: list[Complaint], place: list[str | int], message: str) -> None:
    for step in place[:-1]:
        tree = _branch(tree, step)
    tree.append(_node(place[-1], [message]) if place else message)


def _branch(tree: list[Complaint], step: str | int) -> list[Complaint]:
    for node in tree:
        if isinstance(node, ErrorsAt) and step in (node.property, node.index):
            return node.errors
    below: list[Complaint] = []
    tree.append(_node(step, below))
    return below


def _node(step: str | int, errors: list[Complaint]) -> Complaint:
    if isinstance(step, int):
        return ErrorsAt(index=step, errors=errors)
    return ErrorsAt(property=step, errors=errors)
