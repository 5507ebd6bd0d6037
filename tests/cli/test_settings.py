"""Where settings come from, which one wins, and what is said about those that do not fit."""

import re
from pathlib import Path

import pytest

from app.settings import InvalidSettings, Settings, load_settings, variable
from tests.cli.conftest import tailrace

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*Settings.model_fields, "config"]:
        monkeypatch.delenv(variable(name), raising=False)


def test_flag_beats_variable_beats_file_beats_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text('port = 1\nworkers = 1\nhost = "a"\n')
    monkeypatch.setenv("TAILRACE_PORT", "2")
    monkeypatch.setenv("TAILRACE_WORKERS", "2")
    loaded = load_settings({"port": 3, "host": None}, file)
    values = loaded.values
    assert (values.port, values.workers, values.host, values.s3_region) == (3, 2, "a", "us-east-1")
    origins = [loaded.origins[name] for name in ("port", "workers", "host", "s3_region")]
    assert origins == ["flag", "environment", f"file {file}", "default"]


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_DATABASE_URL", "")
    assert load_settings({}).values.database_url is None


def test_every_mistake_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text('hot_limit = 1\nworkers = "many"\n')
    monkeypatch.setenv("TAILRACE_CONFIG", str(file))
    monkeypatch.setenv("TAILRACE_PROT", "1")
    monkeypatch.setenv("TAILRACE_PORT", "99999")
    monkeypatch.setenv("TAILRACE_DATABASE_URL", "mysql://u:hidden@h/d")
    with pytest.raises(InvalidSettings) as caught:
        load_settings({"host": ""})
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    for text in (
        "unknown environment variable TAILRACE_PROT (did you mean TAILRACE_PORT?)",
        f"unknown setting 'hot_limit' in {file} (did you mean hot_limit_bytes?)",
        f"bad value of setting 'workers' in {file}",
        "bad value of TAILRACE_PORT",
        "bad value of TAILRACE_DATABASE_URL: must start with postgresql://",
        "bad value of --host",
    ):
        assert any(line.startswith(text) for line in lines), text
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"TAILRACE_S3_BUCKET": "logs", "TAILRACE_S3_ACCESS_KEY_ID": "k"}, "SECRET_ACCESS_KEY"),
        ({"TAILRACE_S3_ENDPOINT_URL": "http://h:1"}, "TAILRACE_S3_BUCKET"),
        ({"TAILRACE_S3_ENDPOINT_URL": "h:1"}, "TAILRACE_S3_ENDPOINT_URL"),
        (
            {"TAILRACE_DATABASE_URL": "postgresql://u:se/cret@h/d"},
            "TAILRACE_DATABASE_URL: the port",
        ),
        ({"TAILRACE_CONFIG": "/no/such/file"}, "/no/such/file"),
        ({"TAILRACE_SCHEDULER_MIN_RUNS": "101"}, "greater than TAILRACE_SCHEDULER_MAX_RUNS"),
        ({"TAILRACE_SCHEDULER_MAX_AHEAD_SECONDS": "9"}, "TAILRACE_SCHEDULER_MAX_AHEAD_SECONDS"),
        ({"TAILRACE_SCHEDULER_MIN_AHEAD_SECONDS": "9"}, "TAILRACE_SCHEDULER_EVERY_SECONDS"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(InvalidSettings, match=named):
        load_settings({})


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text("port: 4200")
    with pytest.raises(InvalidSettings, match="is not TOML"):
        load_settings({}, file)


def test_config_shows_origins_and_masks_secrets() -> None:
    done = tailrace(
        "config",
        "--port",
        "4300",
        TAILRACE_DATABASE_URL="postgresql://u:hidden@h/d",
        TAILRACE_API_AUTH_STRING="admin:hidden",
        TAILRACE_S3_REGION="eu-west-1",
    )
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["TAILRACE_PORT"] == ["4300", "flag"]
    assert rows["TAILRACE_S3_REGION"] == ["eu-west-1", "environment"]
    assert rows["TAILRACE_DATABASE_URL"] == ["********", "environment"]
    assert "hidden" not in done.stdout
    assert set(rows) == {variable(name) for name in Settings.model_fields}


def test_a_bad_setting_is_one_line_and_exit_code_2() -> None:
    done = tailrace("config", TAILRACE_PROT="1")
    assert done.returncode == 2
    assert done.stderr == (
        "tailrace: unknown environment variable TAILRACE_PROT (did you mean TAILRACE_PORT?);"
        " unset it\n"
    )


def test_every_setting_is_documented() -> None:
    rows = re.findall(
        r"^\| `(TAILRACE_\w+)` \| `(\w+)` \| .* \| (.+) \|$", DOCUMENT.read_text(), re.M
    )
    documented = {name: (env, text) for env, name, text in rows}
    assert documented == {
        name: (variable(name), field.description) for name, field in Settings.model_fields.items()
    }
