"""What clients ask a registry of integrations for: which types of work pools there are.

The `prefect` command offers these types when a pool is made, and takes the base job template of a
new pool from here. Workers of other types bring a template of their own when they start.
"""

from typing import Any

from litestar import get
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.wire.base import Json

_TEXT_MAP: Json = {"type": "object", "additionalProperties": {"type": "string"}}

_PROCESS_TEMPLATE: Json = {
    "job_configuration": {
        name: f"{{{{ {name} }}}}"
        for name in ("command", "env", "labels", "name", "stream_output", "working_dir")
    },
    "variables": {
        "type": "object",
        "properties": {
            "name": {
                "title": "Name",
                "description": "What the worker calls the process of a run.",
                "type": "string",
            },
            "env": {
                "title": "Environment Variables",
                "description": "Variables that the process gets besides those of the worker.",
                **_TEXT_MAP,
            },
            "labels": {
                "title": "Labels",
                "description": "Labels for the process of a run.",
                **_TEXT_MAP,
            },
            "command": {
                "title": "Command",
                "description": "What to start. Left empty, the worker knows itself.",
                "type": "string",
            },
            "stream_output": {
                "title": "Stream Output",
                "description": "Whether the worker prints what the process prints.",
                "default": True,
                "type": "boolean",
            },
            "working_dir": {
                "title": "Working Directory",
                "description": "Where the process starts. Left empty, in a new directory.",
                "type": "string",
                "format": "path",
            },
        },
    },
}

_WORKERS: Json = {
    "prefect": {
        "process": {
            "type": "process",
            "display_name": "Process",
            "description": "A worker runs each flow run in a process beside itself.",
            "default_base_job_configuration": _PROCESS_TEMPLATE,
            "documentation_url": "https://docs.prefect.io/v3/concepts/workers",
            "install_command": "pip install prefect",
            "is_beta": False,
            "logo_url": "",
        }
    }
}

# Nothing is known here of the flows and blocks of integrations.
_VIEWS: dict[str, Json] = {
    "aggregate-worker-metadata": _WORKERS,
    "aggregate-block-metadata": {},
    "aggregate-flow-metadata": {},
    "demo-flows": {},
}


@get("/collections/views/{view:str}", sync_to_thread=False)
def read_view(view: FromPath[str]) -> dict[str, Any]:
    """One view of the registry."""
    if view not in _VIEWS:
        raise HTTPException(status_code=404, detail=f"View {view} not found in registry")
    return _VIEWS[view]


ROUTES: list[ControllerRouterHandler] = [read_view]
