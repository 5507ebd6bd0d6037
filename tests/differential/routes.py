"""Which routes the two servers have, by their OpenAPI documents."""

import re
from collections.abc import Mapping
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")


class Routes:
    """Routes as `POST /flows/{id}`, in the reference's spelling."""

    def __init__(self, reference: Mapping[str, Any]) -> None:
        self.operations: dict[str, Any] = {
            f"{method.upper()} {path}": operation
            for path, operations in reference["paths"].items()
            for method, operation in operations.items()
            if method in METHODS
        }
        self.components: Mapping[str, Any] = reference["components"]["schemas"]
        # A path without parameters is meant before one with.
        ordered = sorted(self.operations, key=lambda route: (route.count("{"), route))
        self._patterns = [(route, _pattern(route)) for route in ordered]

    def of(self, method: str, path: str) -> str:
        """The route of a request, or the request itself where there is none."""
        asked = f"{method} {path.rstrip('/')}"
        return next((route for route, pattern in self._patterns if pattern.fullmatch(asked)), asked)

    def shared_with(self, ours: Mapping[str, Any]) -> set[str]:
        """Those that the other document has too, whatever it calls its parameters."""
        theirs = {_shape(route): route for route in self.operations}
        has = {
            _shape(f"{method.upper()} {path.removeprefix('/api')}")
            for path, operations in ours["paths"].items()
            for method in operations
        }
        return {route for shape, route in theirs.items() if shape in has}


def _shape(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", route.rstrip("/"))


def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", route.rstrip("/"))
    return re.compile("[^/]+".join(map(re.escape, parts)))
