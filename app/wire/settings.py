"""What the server runs with: Tailrace's own, nothing of the reference's."""

import msgspec


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as it is in force. `value` is text, None when it is not set, and masked when it is secret;
    `origin` is where it comes from: `default`, `environment`, `flag`, or `file` and its path."""

    name: str
    variable: str
    value: str | None
    origin: str
    description: str


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Tailrace's version, that of the wire protocol and of the Prefect release that speaks it, whether
    clients must log in, and all settings."""

    version: str
    protocol_version: str
    prefect_version: str
    access_required: bool
    settings: list[Setting]
