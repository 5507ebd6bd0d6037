"""Sequences of requests, by what they are about. Each uses names of its own."""

from collections.abc import Iterator
from importlib import import_module
from inspect import iscoroutinefunction
from pkgutil import iter_modules

from tests.differential.conversation import Sequence


def all_sequences() -> Iterator[tuple[str, Sequence]]:
    """Every public coroutine function of the modules here, with its name."""
    for module in iter_modules(__path__):
        loaded = import_module(f"{__name__}.{module.name}")
        for name, function in vars(loaded).items():
            if iscoroutinefunction(function) and not name.startswith("_"):
                yield f"{module.name}: {name.replace('_', ' ')}", function
