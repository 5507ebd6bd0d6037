"""Logs."""

from tests.differential.conversation import Conversation

RUN = "33333333-3333-4333-8333-333333333333"
TASK = "44444444-4444-4444-8444-444444444444"


def _line(server: Conversation, second: int, message: str, **more: object) -> dict[str, object]:
    return {
        "name": "prefect.flow_runs",
        "level": 20,
        "message": message,
        "timestamp": server.at(second),
        "flow_run_id": RUN,
        **more,
    }


async def written_and_filtered(server: Conversation) -> None:
    await server.post(
        "/logs/",
        [
            _line(server, -3000, "one"),
            _line(server, -2999, "two", level=40, task_run_id=TASK, name="prefect.task_runs"),
            _line(server, -2998, "three\nlines ✓"),
            _line(server, -2997, "", level=0),
        ],
    )
    await server.post("/logs/", [])
    mine = {"flow_run_id": {"any_": [RUN]}}
    for more in (
        {},
        {"level": {"ge_": 30}},
        {"level": {"le_": 20}},
        {"level": {"ge_": 10, "le_": 30}},
        {"timestamp": {"before_": server.at(-2999)}},
        {"timestamp": {"after_": server.at(-2999)}},
        {"task_run_id": {"any_": [TASK]}},
        {"task_run_id": {"is_null_": True}},
        {"task_run_id": {"is_null_": False}},
        {"operator": "or_", "level": {"ge_": 40}, "task_run_id": {"is_null_": True}},
    ):
        await server.post("/logs/filter", {"logs": {**mine, **more}})
    for page in (
        {"sort": "TIMESTAMP_DESC"},
        {"limit": 2, "offset": 1},
        {"limit": 0},
        {"limit": 201},
        {"offset": -1},
        {"offset": 9},
        {"sort": "NO"},
        {"logs": {"flow_run_id": {"any_": "no"}}},
        {"logs": {"unknown": 1}},
        {"logs": {"level": {"ge_": "x"}}},
    ):
        await server.post("/logs/filter", {"logs": mine, **page})
    await server.post("/logs/filter", {"logs": {"text": {"query": "lines"}, **mine}})


async def bad_lines(server: Conversation) -> None:
    good = _line(server, 0, "bad")
    for body in (
        {"name": 5},
        {"level": "high"},
        {"level": None},
        {"message": None},
        {"timestamp": "no"},
        {"flow_run_id": "no"},
        {"task_run_id": 5},
        {"unknown": 1},
    ):
        await server.post("/logs/", [good, {**good, **body}])
    for missing in ("name", "level", "message", "timestamp"):
        await server.post("/logs/", [{key: good[key] for key in good if key != missing}])
    await server.post("/logs/", good)
    await server.post("/logs/", "x")
    await server.post("/logs/", content=b"[{")
    await server.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [RUN]}}, "limit": 1})


async def downloaded(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "logs 1"})
    run = await server.post("/flow_runs/", {"flow_id": flow["id"], "name": "run 1"})
    lines = [
        _line(server, -3000, 'quoted "text", and more', flow_run_id=run["id"]),
        _line(server, -2000, "two\nlines", flow_run_id=run["id"], level=30),
    ]
    await server.post("/logs/", lines)
    await server.get(f"/flow_runs/{run['id']}/logs/download")
    await server.get(f"/flow_runs/{RUN}/logs/download")
