"""Job variables: what a work pool's template lets deployments and runs say about where they run.

The template's `variables` are a JSON schema. The pool's defaults come first, then what a deployment
says, then what a run says. A default that does not fit, or that stands for a block document, is left
to the worker; what is required is then not asked for either, for it might be that.
"""

import functools
from typing import Any

import msgspec

from app.rules.job_templates import defaults_of
from app.rules.json_schema import why_invalid
from app.wire.base import Json


def why_unfit(schema: object, *overlays: Json, ignore_required: bool) -> str | None:
    """None if the overlays, a later one before an earlier one, fit the `variables` of a template,
    else why not.

    Raises:
        CircularSchema: the schema refers to itself without end.
    """
    if not isinstance(schema, dict) or not schema:
        return None
    defaults, complete = _defaults(msgspec.json.encode(schema))
    values: Json = dict(defaults)
    for overlay in overlays:
        values.update(overlay)
    return why_invalid(
        values,
        schema,
        ignore_required=ignore_required or not complete,
        null_for_default=True,
    )


def why_defaults_unfit(template: Json) -> str | None:
    """None if the defaults of a base job template fit its own `variables`, else why not. What stands
    for a block document is not looked at.

    Raises:
        CircularSchema: the schema refers to itself without end.
    """
    variables = template.get("variables")
    if not isinstance(variables, dict) or not variables:
        return None
    plain = {
        name: default
        for name, default in defaults_of(template).items()
        if not _stands_for_block(default)
    }
    return why_invalid(plain, variables, ignore_required=True, null_for_default=True)


def blocks_of_defaults(template: Json) -> list[str]:
    """The ids of block documents, as the template says them, that stand for its defaults."""
    found = [
        default["$ref"]["block_document_id"]
        for default in defaults_of(template).values()
        if _stands_for_block(default)
        and isinstance(default["$ref"], dict)
        and "block_document_id" in default["$ref"]
    ]
    return [str(id) for id in found]


@functools.lru_cache(maxsize=256)
def _defaults(schema_text: bytes) -> tuple[Json, bool]:
    """The defaults that fit, and whether that is all of them."""
    schema: Json = msgspec.json.decode(schema_text)
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}, True
    fitting: Json = {}
    complete = True
    for name, each in properties.items():
        if not isinstance(each, dict) or "default" not in each:
            continue
        default = each["default"]
        if _stands_for_block(default) or (
            why_invalid({name: default}, schema, ignore_required=True) is not None
        ):
            complete = False
        else:
            fitting[name] = default
    return fitting, complete


def _stands_for_block(default: Any) -> bool:
    return isinstance(default, dict) and "$ref" in default
