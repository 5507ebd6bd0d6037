"""Every setting, where it may come from and where it did.

A flag of the command line beats an environment variable `TAILRACE_…`, which beats the TOML file,
which beats the default. A name that is not known and a value that does not fit are errors.
"""

import datetime as dt
import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from app.rules.recovery import Recovery
from app.rules.schedules import Horizon, Scheduling
from app.wire.settings import Setting
from storage.objects.disk_cache import LogCache

PREFIX = "TAILRACE_"
# PostgreSQL, S3 and the jobs need the other half. On 2 cores one process takes logs and runs as fast as
# two do, in 150 MB less: it joins more requests into each commit.
DEFAULT_WORKERS = max(1, min(4, (os.cpu_count() or 1) // 2))


class InvalidSettings(Exception):
    """One or more settings are wrong; a line for each says which, and what would fit."""


class Settings(BaseSettings):
    """The effective settings. The description of each field is shown to operators."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    host: str = Field("127.0.0.1", min_length=1, description="address that the API listens on")
    port: int = Field(4200, ge=1, le=65535, description="port that the API listens on, 1 to 65535")
    workers: int = Field(
        DEFAULT_WORKERS, ge=1, le=256, description="number of API processes, 1 to 256"
    )
    data_dir: Path = Field(
        Path(".data"), description="directory of the embedded PostgreSQL and SeaweedFS"
    )
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL 15 or newer, as postgresql://user:password@host:port/database;"
        " embedded when not set",
    )
    s3_bucket: str | None = Field(
        None, min_length=3, description="bucket for logs; embedded SeaweedFS when not set"
    )
    s3_endpoint_url: str | None = Field(
        None, description="http(s)://host:port of an S3 service; AWS when not set"
    )
    s3_region: str = Field("us-east-1", min_length=1, description="region of the bucket")
    s3_access_key_id: str | None = Field(
        None, description="access key; the usual AWS chain is asked when not set"
    )
    s3_secret_access_key: SecretStr | None = Field(
        None, description="secret of the access key; set both or neither"
    )
    s3_addressing_style: Literal["path", "virtual"] = Field(
        "path", description="path (endpoint/bucket/key) or virtual (bucket.endpoint/key)"
    )
    api_auth_string: SecretStr | None = Field(
        None,
        description="user:password that clients must send (PREFECT_API_AUTH_STRING); open when not"
        " set",
    )
    encryption_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="text that block documents are encrypted with, at least 16 characters, the same"
        " for all processes; `up` keeps one in the data directory when not set",
    )
    hot_limit_bytes: int = Field(
        2 * 1024**3,
        ge=16 * 1024**2,
        description="bytes of logs that may wait for offload, at least 16777216; beyond it clients"
        " are told to come back",
    )
    log_cache_bytes: int = Field(
        1024**3,
        ge=0,
        description="bytes of segments that are kept in `log-cache` below the data directory, so that"
        " S3 is asked once, 0 for none",
    )
    sql_seconds: int = Field(
        60, ge=1, le=600, description="seconds that one SQL statement may take, 1 to 600"
    )
    sql_memory_bytes: int = Field(
        1024**3,
        ge=256 * 1024**2,
        description="bytes of memory that one SQL statement may take, at least 268435456; each API"
        " process runs two at once, each in a process of its own",
    )
    event_retention_days: int = Field(
        7, ge=1, le=36500, description="days that events are kept, 1 to 36500"
    )
    log_retention_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        description="days that logs are kept where no retention rule says otherwise, 1 to 36500; for"
        " good when not set",
    )
    iceberg: bool = Field(
        True, description="whether logs and runs are published as Iceberg tables in the bucket"
    )
    iceberg_every_minutes: int = Field(
        10, ge=1, le=1440, description="minutes from one publication to the next, 1 to 1440"
    )
    iceberg_namespace: str = Field(
        "tailrace",
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="namespace of the Iceberg tables: small letters, digits and _",
    )
    iceberg_rest_uri: str | None = Field(
        None,
        description="http(s):// address of an Iceberg REST catalog; the catalog is in PostgreSQL when"
        " not set",
    )
    iceberg_rest_token: SecretStr | None = Field(
        None, description="bearer token for the REST catalog"
    )
    iceberg_rest_credential: SecretStr | None = Field(
        None, description="client_id:client_secret that the REST catalog gives a token for"
    )
    iceberg_rest_scope: str | None = Field(
        None, description="scope of that token; catalog when not set"
    )
    iceberg_rest_oauth_uri: str | None = Field(
        None,
        description="http(s):// address that gives the token; v1/oauth/tokens of the catalog when not"
        " set",
    )
    iceberg_rest_warehouse: str | None = Field(
        None, description="warehouse to ask the REST catalog for"
    )
    late_after_seconds: int = Field(
        15,
        ge=1,
        le=86_400,
        description="seconds after it was due that a run which nobody started is Late, 1 to 86400",
    )
    cancelling_timeout_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="seconds that a run may be Cancelling before it is Cancelled, 1 to 86400",
    )
    scheduler_every_seconds: int = Field(
        60,
        ge=1,
        le=600,
        description="seconds from one look at all schedules to the next, 1 to 600; changed ones are"
        " seen at once",
    )
    scheduler_min_runs: int = Field(
        3, ge=1, le=1000, description="runs that each schedule has ahead at least, 1 to 1000"
    )
    scheduler_max_runs: int = Field(
        100,
        ge=1,
        le=10_000,
        description="runs that each schedule has ahead at most, 1 to 10000",
    )
    scheduler_min_ahead_seconds: int = Field(
        3600,
        ge=1,
        le=31_536_000,
        description="seconds ahead for which each schedule has its runs, unless they are too many, 1"
        " to 31536000",
    )
    scheduler_max_ahead_seconds: int = Field(
        8_640_000,
        ge=1,
        le=3_153_600_000,
        description="seconds ahead beyond which no schedule has runs, 1 to 3153600000",
    )
    scheduler_batch: int = Field(
        500,
        ge=1,
        le=10_000,
        description="scheduled runs that are kept in one transaction, 1 to 10000",
    )
    zombie_killer: bool = Field(
        True, description="whether running flow runs whose process is dead become Crashed"
    )
    zombie_heartbeats_missed: int = Field(
        3,
        ge=2,
        le=100,
        description="heartbeats in a row that a run must miss to count as dead, 2 to 100",
    )
    zombie_patience_seconds: int = Field(
        600,
        ge=10,
        le=86_400,
        description="seconds that a worker must be offline, a pending run silent, or a due run passed"
        " over, before the run counts as dead or stuck, 10 to 86400",
    )
    lazarus_attempts: int = Field(
        3,
        ge=0,
        le=100,
        description="times at most that a run found dead or stuck goes back to Scheduled, 0 (never)"
        " to 100",
    )
    lazarus_crashed: Literal["always", "retries", "never"] = Field(
        "retries",
        description="which runs that the zombie killer found dead go back to Scheduled: always,"
        " retries (those with retries left) or never",
    )
    database_pool_size: int = Field(
        16, ge=2, le=1000, description="database connections of each process at most, 2 to 1000"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto (console on a terminal, else json), console or json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )

    @property
    def recovery(self) -> Recovery:
        """What zombie killer and Lazarus are to do."""
        return Recovery(
            zombie_killer=self.zombie_killer,
            heartbeats_missed=self.zombie_heartbeats_missed,
            patience_seconds=self.zombie_patience_seconds,
            lazarus_attempts=self.lazarus_attempts,
            lazarus_crashed=self.lazarus_crashed,
        )

    @property
    def log_cache(self) -> LogCache | None:
        """What readers may keep of segments."""
        if self.log_cache_bytes == 0:
            return None
        return LogCache(
            directory=str(self.data_dir.absolute() / "log-cache"), max_bytes=self.log_cache_bytes
        )

    @property
    def scheduling(self) -> Scheduling:
        """What the scheduler is to do."""
        return Scheduling(
            horizon=Horizon(
                min_runs=self.scheduler_min_runs,
                max_runs=self.scheduler_max_runs,
                min_scheduled_time=dt.timedelta(seconds=self.scheduler_min_ahead_seconds),
                max_scheduled_time=dt.timedelta(seconds=self.scheduler_max_ahead_seconds),
            ),
            batch=self.scheduler_batch,
            every_seconds=self.scheduler_every_seconds,
        )

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What it is given and nothing else: `load_settings` reads the sources itself, because it
        reports where each value came from."""
        return (init_settings,)

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("postgresql://", "postgres://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("must start with postgresql://")
        if value is not None:
            try:
                _ = urlsplit(value.get_secret_value()).port
            except ValueError:
                # Not with the cause, which may quote a part of the password.
                raise ValueError(
                    "the port is not a number; write / # ? @ : in a password as %2F %23 %3F %40 %3A"
                ) from None
        return value

    @field_validator("s3_endpoint_url", "iceberg_rest_uri", "iceberg_rest_oauth_uri")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings and, for each by name, the place that it came from."""

    values: Settings
    origins: Mapping[str, str]

    def shown(self, name: str) -> str:
        """The value of a setting for people; secrets are masked."""
        value = getattr(self.values, name)
        if value is None:
            return "(not set)"
        return "********" if isinstance(value, SecretStr) else str(value)

    def told(self) -> tuple[Setting, ...]:
        """All settings as the API tells them."""
        return tuple(
            Setting(
                name=name,
                variable=variable(name),
                value=None if getattr(self.values, name) is None else self.shown(name),
                origin=self.origins[name],
                description=field.description or "",
            )
            for name, field in Settings.model_fields.items()
        )


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def load_settings(flags: Mapping[str, object], config_file: Path | None = None) -> LoadedSettings:
    """The effective settings. Flags that are None were not given.

    `config_file` falls back to the environment variable `TAILRACE_CONFIG`.

    Raises:
        InvalidSettings: with a line for each mistake.
    """
    mistakes = _unknown_variables()
    path = config_file or (Path(text) if (text := os.environ.get(f"{PREFIX}CONFIG")) else None)
    from_file = _read_file(path) if path is not None else {}
    mistakes += [
        f"unknown setting {key!r} in {path}{_suggestion(key, Settings.model_fields)}"
        for key in from_file
        if key not in Settings.model_fields
    ]
    layers: list[tuple[str, Mapping[str, object]]] = [
        ("flag", {name: value for name, value in flags.items() if value is not None}),
        ("environment", EnvSettingsSource(Settings)()),
        (f"file {path}", {k: v for k, v in from_file.items() if k in Settings.model_fields}),
    ]
    merged: dict[str, object] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for place, layer in reversed(layers):
        merged.update(layer)
        origins.update(dict.fromkeys(layer, place))
    values = None
    try:
        values = Settings.model_validate(merged)
    except ValidationError as error:
        mistakes += [_explain(str(e["loc"][0]), e["msg"], origins) for e in error.errors()]
    if values is not None:
        mistakes += _contradictions(values)
    if mistakes or values is None:
        raise InvalidSettings("\n".join(mistakes))
    return LoadedSettings(values=values, origins=origins)


def _unknown_variables() -> list[str]:
    known = {variable(name) for name in Settings.model_fields} | {f"{PREFIX}CONFIG"}
    return [
        f"unknown environment variable {name}{_suggestion(name, known)}; unset it"
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]


def _suggestion(name: str, known: "Mapping[str, object] | set[str]") -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSettings(
            f"configuration file {path} cannot be read ({error.strerror});"
            f" mend --config or {PREFIX}CONFIG"
        ) from error
    except ValueError as error:
        raise InvalidSettings(f"configuration file {path} is not TOML: {error}") from error


def _explain(name: str, message: str, origins: Mapping[str, str]) -> str:
    """A mistake with the name that the operator used; never with the value, it may be secret."""
    place = origins.get(name, "default")
    called = {"flag": f"--{name.replace('_', '-')}", "environment": variable(name)}.get(
        place, f"setting {name!r} in {place.removeprefix('file ')}"
    )
    field = Settings.model_fields.get(name)
    wanted = f" (expected: {field.description})" if field and field.description else ""
    message = message.removeprefix("Value error, ")
    return f"bad value of {called}: {message[0].lower()}{message[1:]}{wanted}"


def _contradictions(values: Settings) -> list[str]:
    mistakes = []
    if (values.s3_access_key_id is None) != (values.s3_secret_access_key is None):
        mistakes.append(
            f"{variable('s3_access_key_id')} and {variable('s3_secret_access_key')} go together;"
            " set both or neither"
        )
    if values.s3_bucket is None and values.s3_endpoint_url is not None:
        mistakes.append(
            f"{variable('s3_endpoint_url')} needs {variable('s3_bucket')}; set it, or unset both to"
            " use the embedded SeaweedFS"
        )
    for less, more in (
        ("scheduler_min_runs", "scheduler_max_runs"),
        ("scheduler_min_ahead_seconds", "scheduler_max_ahead_seconds"),
        # Or a run of a schedule would be due before the next look finds that it is missing.
        ("scheduler_every_seconds", "scheduler_min_ahead_seconds"),
    ):
        if getattr(values, less) > getattr(values, more):
            mistakes.append(f"{variable(less)} must not be greater than {variable(more)}")
    return mistakes
