"""Variables."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def made_read_changed_and_deleted(server: Conversation) -> None:
    for number, value in enumerate(("text", 1, 2.5, True, None, {"a": [1]}, ["x"])):
        await server.post("/variables/", {"name": f"var_{number}", "value": value, "tags": ["t"]})
        await server.get(f"/variables/name/var_{number}")
    await server.post("/variables/", {"name": "var_0", "value": 1})
    made = await server.post("/variables/", {"name": "var_life", "value": 1})
    path = f"/variables/{made['id']}"
    for body in (
        {"value": 2},
        {"tags": ["a"]},
        {"value": None},
        {"name": "var_renamed"},
        {},
        {"name": "var_0"},
        {"name": "No Good"},
        {"tags": "a"},
        {"unknown": 1},
    ):
        await server.patch(path, body)
        await server.get(path)
    await server.patch("/variables/name/var_renamed", {"value": "x"})
    await server.get("/variables/name/var_renamed")
    await server.delete("/variables/name/var_renamed")
    await server.delete("/variables/name/var_renamed")
    await server.get(path)
    await server.patch(path, {"value": 1})
    await server.delete(path)
    other = await server.post("/variables/", {"name": "var_other", "value": 1})
    await server.delete(f"/variables/{other['id']}")
    await server.get("/variables/name/nobody")
    await server.patch("/variables/name/nobody", {"value": 1})
    await server.get("/variables/no-id")


async def bad_to_make(server: Conversation) -> None:
    for body in (
        {"name": "v"},
        {"value": 1},
        {"name": "With Space", "value": 1},
        {"name": "UPPER", "value": 1},
        {"name": "v" * 256, "value": 1},
        {"name": "", "value": 1},
        {"name": None, "value": 1},
        {"name": "v_long", "value": "x" * 5001},
        {"name": "v_tags", "value": 1, "tags": "a"},
        {"name": "v_tags", "value": 1, "tags": None},
        {"name": "v_more", "value": 1, "more": 1},
    ):
        await server.post("/variables/", body)


async def found_counted_and_paged(server: Conversation) -> None:
    for name, tags in (("vf_a", ["x", "y"]), ("vf_b", ["x"]), ("vf_c", [])):
        await server.post("/variables/", {"name": name, "value": name, "tags": tags})
    mine = {"name": {"like_": "vf_"}}
    for more in (
        {},
        {"name": {"any_": ["vf_a", "no"]}},
        {"name": {"like_": "VF_B"}},
        {"tags": {"all_": ["x"]}},
        {"tags": {"is_null_": True}},
        {"id": {"any_": []}},
        {"operator": "or_", "name": {"any_": ["vf_c"]}, "tags": {"all_": ["y"]}},
    ):
        await server.post("/variables/filter", {"variables": {**mine, **more}})
        await server.post("/variables/count", {"variables": {**mine, **more}})
    for page in (
        {"sort": "NAME_ASC"},
        {"sort": "NAME_DESC"},
        {"sort": "CREATED_DESC"},
        {"sort": "UPDATED_DESC"},
        {"sort": "NO"},
        {"limit": 2, "offset": 1},
        {"limit": 201},
        {"limit": 0},
        {"offset": -1},
    ):
        await server.post("/variables/filter", {"variables": mine, **page})
