"""Run commands of the client's command line, `prefect …`, one after another in one process: each
by itself takes a second to begin.

Standard input: a JSON list of commands, each a list of words. Standard output: for each the exit
status and what it printed, a JSON list a line.
"""

import contextlib
import io
import json
import sys

from prefect.cli import app


def run(words):
    """One command, to its end."""
    printed = io.StringIO()
    status = 0
    sys.argv = ["prefect", *words]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            app()
        except SystemExit as end:
            status = end.code or 0
    return status, printed.getvalue()


if __name__ == "__main__":
    for command in json.load(sys.stdin):
        print(json.dumps(run(command)), flush=True)
