"""What all commands have in common: flags for settings, and reading the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from app.settings import LoadedSettings, Settings, load_settings, variable
from app.telemetry import set_up_logging

_Command = TypeVar("_Command", bound=Callable[..., Any])


def options(*names: str) -> Callable[[_Command], _Command]:
    """Flags for settings, which beat variables and file. `--config` comes with them."""
    kinds: dict[str, Any] = {"port": int, "workers": int}

    def decorate(command: _Command) -> _Command:
        for name in reversed(names):
            flag = f"--{name.replace('_', '-')}"
            field = Settings.model_fields[name]
            text = field.description or ""
            default = f" [default: {field.default}]" if field.default is not None else ""
            command = click.option(
                flag,
                type=kinds.get(name, str),
                help=f"{text[:1].upper()}{text[1:]}.{default}",
            )(command)
        return click.option(
            "--config",
            type=click.Path(dir_okay=False, path_type=Path),
            help=f"TOML file with settings. [default: {variable('config')}]",
        )(command)

    return decorate


def load(config: Path | None, **flags: object) -> LoadedSettings:
    """The settings in effect; logging follows them from now on."""
    loaded = load_settings(flags, config)
    set_up_logging(level=loaded.values.log_level, form=loaded.values.log_format)
    return loaded
