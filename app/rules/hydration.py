"""Parameters as they are written down become the values that a flow gets.

Where a value is an object with the key `__prefect_kind`, it says how the value is made: `json` from
JSON text, `jinja` from a template, `workspace_variable` from a variable, `none` from itself; any
other kind is its `value`. What holds one of these may be one itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from app.rules.templates import InvalidTemplate, check, render
from app.wire.base import Json

KIND = "__prefect_kind"


class HydrationError(ValueError):
    """A value that cannot be made, and why."""


class _Nothing:
    """The value of an object that says a kind and nothing to make a value of: forms that were
    left empty send them, and it is as if the value were not there."""


_NOTHING = _Nothing()


@dataclass(frozen=True, slots=True)
class Unmade:
    """In the place of a value that was not made: with `why` if it cannot be, without if it is a
    template, which has no value before there is a run."""

    why: str | None = None


def variables_named(value: Any) -> set[str] | None:
    """The variables that a value may be made from; None if that may be any."""
    names: set[str] = set()
    if isinstance(value, dict):
        if value.get(KIND) == "workspace_variable" and "variable_name" in value:
            name = value["variable_name"]
            if not isinstance(name, str):
                # It is made from something itself.
                return None
            names.add(name)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            inner = variables_named(item)
            if inner is None:
                return None
            names |= inner
    return names


def needs_hydration(value: Any) -> bool:
    """Whether there is anything to make in the value."""
    if isinstance(value, dict):
        return KIND in value or any(needs_hydration(item) for item in value.values())
    return isinstance(value, list) and any(needs_hydration(item) for item in value)


def hydrated(parameters: Json, variables: Mapping[str, Any]) -> Json:
    """The parameters with everything made.

    Raises:
        HydrationError: a value cannot be made.
    """
    made = _made(parameters, _Strictly(variables))
    if made is _NOTHING:
        return {}
    if not isinstance(made, dict):
        raise HydrationError("The parameters are not an object.")
    return made


def hydrated_for_checking(parameters: Json, variables: Mapping[str, Any]) -> Any:
    """The parameters with everything made but templates, and with `Unmade` where nothing is made:
    each value can be judged by itself. An object, unless the whole is said to be something else."""
    made = _made(parameters, _Leniently(variables))
    nothing: Json = {}
    return nothing if made is _NOTHING else made


@dataclass(frozen=True, slots=True)
class _Strictly:
    """How values are made: the first that cannot be is an error."""

    variables: Mapping[str, Any]


class _Leniently(_Strictly):
    """A value that cannot be made is `Unmade`, and so is every template."""


def _made(value: Any, how: _Strictly) -> Any:
    if isinstance(value, dict):
        if KIND in value:
            return _of_kind(value[KIND], value, how)
        items = ((key, _made(item, how)) for key, item in value.items())
        return {key: item for key, item in items if item is not _NOTHING}
    if isinstance(value, list):
        return [item for item in (_made(item, how) for item in value) if item is not _NOTHING]
    return value


def _of_kind(kind: object, source: Json, how: _Strictly) -> Any:
    try:
        match kind:
            case "none":
                if "value" not in source:
                    raise HydrationError("Missing 'value' key in __prefect object")
                return _made(source["value"], how)
            case "json":
                return _json(source, how)
            case "jinja":
                if "template" not in source:
                    raise HydrationError("Missing 'template' key in __prefect object")
                return _rendered(_inner(source["template"], how), how)
            case "workspace_variable":
                return _variable(source, how)
            case _:
                return source.get("value")
    except HydrationError as error:
        if isinstance(how, _Leniently):
            return Unmade(str(error))
        raise


def _inner(value: Any, how: _Strictly) -> Any:
    return _made(value, how) if isinstance(value, dict) else value


def _json(source: Json, how: _Strictly) -> Any:
    if "value" not in source:
        return _NOTHING
    text = _inner(source["value"], how)
    if not isinstance(text, str):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HydrationError(f"Invalid JSON: {_json_complaint(text) or error}") from error


def _json_complaint(text: str) -> str | None:
    """What Python's own decoder has against the text: clients know its words, which say where."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def _rendered(template: Any, how: _Strictly) -> Any:
    if template is _NOTHING or isinstance(template, Unmade):
        return template
    if not isinstance(template, str):
        raise HydrationError("Invalid jinja: the template is not a text")
    try:
        if isinstance(how, _Leniently):
            check(template)
            return Unmade()
        return render(template)
    except InvalidTemplate as error:
        raise HydrationError(f"Invalid jinja: {error.message}") from error


def _variable(source: Json, how: _Strictly) -> Any:
    if "variable_name" not in source:
        return _NOTHING
    name = _inner(source["variable_name"], how)
    if name is _NOTHING or isinstance(name, Unmade):
        return name
    if not isinstance(name, str) or name not in how.variables:
        raise HydrationError(f"Variable '{name}' not found in workspace.")
    return how.variables[name]
