"""`make demo`: run `demo/flow.py` with the real Prefect against a running Tailrace, show its logs."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from app.listening import api_url
from app.settings import load_settings
from storage.embedded.data_directory import find_instance

ROOT = Path(__file__).parent.parent
TAILRACE = [sys.executable, "-P", "-m", "app.cli"]
PREFECT = ROOT / ".venv-prefect" / "bin" / "python"
SHOWN = 12
FLOW_SECONDS = 300
COMMAND_SECONDS = 60


def main() -> None:
    """Run the flow, then print the head, the tail and the counts of its logs."""
    settings = load_settings({}).values
    instance = find_instance(settings.data_dir)
    url = instance.api_url if instance else api_url(settings)
    secret = settings.api_auth_string
    auth = instance.api_auth_string if instance else secret and secret.get_secret_value()
    try:
        httpx.get(f"{url}/health", timeout=10, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        sys.exit(f"demo: no server answers at {url} ({error}); start one with `make run`")
    say(f"running demo/flow.py with Prefect against {url}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        # A home of its own: the demo neither reads nor changes the user's Prefect profile.
        environment = {
            key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")
        }
        environment |= {"PREFECT_API_URL": url, "PREFECT_HOME": home}
        environment |= {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_SERVER_ANALYTICS_ENABLED": "0"}
        if auth:
            environment["PREFECT_API_AUTH_STRING"] = auth
        flow = subprocess.run(
            [PREFECT, ROOT / "demo" / "flow.py"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=FLOW_SECONDS,
            check=False,
        )
    found = re.search(r"^flow run: (\S+)$", flow.stdout, re.MULTILINE)
    if flow.returncode != 0 or not found:
        sys.exit(f"demo: the flow failed\n{flow.stderr[-2000:]}")
    run = found[1]
    say(f"flow run {run} took {time.monotonic() - started:.1f} s; its logs, from Tailrace:")
    text = tailrace("logs", "show", run)
    lines = text.splitlines()
    say(f"$ tailrace logs show {run}")
    print("\n".join(lines[:SHOWN]))
    print(f"    ... {len(lines) - 2 * SHOWN:,} more ...")
    print("\n".join(lines[-SHOWN:]))
    say("the failure that the flow caught, as one line with its traceback:")
    first = next(number for number, line in enumerate(lines) if "no rate for gold" in line)
    print("\n".join(lines[first : first + SHOWN]))
    say("how many lines there are:")
    for level in ("debug", "info", "warning", "error"):
        count = tailrace("logs", "show", run, "--level", level, "--json").count("\n")
        print(f"  {level:<8} and above {count:>8,}")
    say("$ tailrace tier status")
    print(tailrace("tier", "status"), end="")


def tailrace(*arguments: str) -> str:
    """What a `tailrace` command prints; ends the demo when it fails."""
    done = subprocess.run(
        [*TAILRACE, *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
        cwd=Path.cwd(),
    )
    if done.returncode != 0:
        sys.exit(f"demo: tailrace {' '.join(arguments)} failed\n{done.stderr}")
    return done.stdout


def say(text: str) -> None:
    """A heading between what is shown."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
