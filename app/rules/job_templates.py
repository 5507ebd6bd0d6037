"""Base job templates of work pools: a configuration with placeholders like `{{ name }}`, and a
JSON schema of the variables that fill them."""

import re
from typing import Any

from app.wire.base import Json

_PLACEHOLDER = re.compile(r"{{\s*([\w\.\-\[\]$]+)\s*}}")


def why_unusable(template: Json) -> str | None:
    """None if a pool may have this template; an empty one says nothing and is allowed."""
    if not template:
        return None
    configuration, variables = template.get("job_configuration"), template.get("variables")
    if not configuration or not variables:
        return (
            "The `base_job_template` must contain both a `job_configuration` key and a `variables`"
            " key."
        )
    properties = variables.get("properties") if isinstance(variables, dict) else None
    declared = properties if isinstance(properties, dict) else {}
    undeclared = sorted(_placeholders(configuration) - set(declared))
    if undeclared:
        return (
            "The variables specified in the job configuration template must be present as"
            " properties in the variables schema. Your job configuration uses the following"
            f" undeclared variable(s): {' ,'.join(undeclared)}."
        )
    return None


def defaults_of(template: Json) -> Json:
    """The variables that have a default, with their values."""
    variables = template.get("variables")
    properties = variables.get("properties") if isinstance(variables, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, dict) and "default" in schema
    }


def _placeholders(value: Any) -> set[str]:
    found: set[str] = set()
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            found.update(_PLACEHOLDER.findall(part))
        elif isinstance(part, dict):
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return found
