"""A small server that speaks Grafana 12's documented HTTP API as `ioc boards` uses it, with what a live 12.2 was seen to do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.embedded.processes import free_port
from tests.eventually import eventually

TOKEN = "glsa_of_an_admin"
Json = dict[str, Any]


@dataclass
class State:
    """What the Grafana holds. provisioned: uids of boards that come from its own files; users: token -> (name, may write)."""

    folders: dict[str, Json] = field(default_factory=dict)
    boards: dict[str, Json] = field(default_factory=dict)
    sources: dict[str, Json] = field(default_factory=dict)
    playlists: dict[str, Json] = field(default_factory=dict)
    public: dict[str, Json] = field(default_factory=dict)
    preferences: Json = field(default_factory=dict)
    provisioned: set[str] = field(default_factory=set)
    users: dict[str, tuple[str, bool]] = field(default_factory=lambda: {TOKEN: ("ioc", True), "glsa_of_a_viewer": ("viewer", False)})
    clock: int = 0

    def save(self, uid: str, board: Json, folder: str, who: str) -> None:
        held = self.boards.get(uid)
        self.clock += 1
        kept = {
            **board,
            "id": held["dashboard"]["id"] if held else 100 + len(self.boards),
            "version": held["dashboard"]["version"] + 1 if held else 1,
        }
        if kept.get("refresh") in ("1s", "2s"):
            kept["refresh"] = "5s"
        meta = {"updatedBy": who, "updated": f"2026-11-22T08:00:{self.clock % 60:02}Z", "folderUid": folder}
        self.boards[uid] = {"dashboard": kept, "meta": {**meta, "provisioned": uid in self.provisioned}}

    def changed_by_hand(self, uid: str, who: str = "nguyen.van.a", **keys: Any) -> None:
        """What somebody does in the browser."""
        self.save(uid, {**self.boards[uid]["dashboard"], **keys}, self.boards[uid]["meta"]["folderUid"], who)


def app(state: State) -> Starlette:
    """The routes; every one wants a token, writing wants an admin's."""

    async def answer(request: Request) -> JSONResponse:
        user = state.users.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            return JSONResponse({"message": "Invalid API key"}, 401)
        if request.method != "GET" and not user[1]:
            return JSONResponse({"message": "You'll need additional permissions to perform this action."}, 403)
        body = await request.json() if request.method in ("POST", "PUT", "PATCH") else {}
        found = _answered(state, request.method, request.url.path, request, body, user[0])
        if found is None:
            return JSONResponse({"message": "not found"}, 404)
        return JSONResponse(found[1], found[0])

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])])


def _answered(state: State, method: str, path: str, request: Request, body: Json, who: str) -> tuple[int, Any] | None:
    match (method, *path.removeprefix("/api/").strip("/").split("/")):
        case ("GET", "org"):
            return 200, {"id": 1, "name": "Main Org."}
        case ("GET", "org", "preferences"):
            return 200, state.preferences
        case ("PATCH", "org", "preferences"):
            state.preferences.update(body)
            return 200, {"message": "Preferences updated"}
        case ("GET", "folders", uid):
            return (200, state.folders[uid]) if uid in state.folders else None
        case ("POST", "folders"):
            if body["uid"] in state.folders:
                return 412, {"message": "the folder has been changed by someone else"}
            state.folders[body["uid"]] = body
            return 200, body
        case ("GET", "datasources", "uid", uid):
            return (200, {k: v for k, v in state.sources[uid].items() if k != "secureJsonData"}) if uid in state.sources else None
        case ("POST" | "PUT", "datasources", *_):
            if state.sources.get(body["uid"], {}).get("readOnly"):
                return 403, {"message": "Cannot update read-only data source"}
            state.sources[body["uid"]] = {"id": 1, "readOnly": False, **body}
            return 200, {"message": "Datasource updated"}
        case ("GET", "search"):
            folder = request.query_params["folderUIDs"]
            return 200, [{"uid": uid} for uid, held in state.boards.items() if held["meta"]["folderUid"] == folder]
        case ("GET", "playlists"):
            return 200, [{"uid": uid, "name": held["name"]} for uid, held in state.playlists.items()]
        case ("GET", "playlists", uid):
            return (200, {**state.playlists[uid], "uid": uid}) if uid in state.playlists else None
        case ("POST", "playlists"):
            state.playlists["abc"] = body
            return 200, {"uid": "abc"}
        case ("PUT", "playlists", uid):
            state.playlists[uid] = body
            return 200, body
    return _boards(state, method, path, body, who)


def _boards(state: State, method: str, path: str, body: Json, who: str) -> tuple[int, Any] | None:
    match (method, *path.removeprefix("/api/").strip("/").split("/")):
        case ("GET", "dashboards", "uid", uid):
            return (200, state.boards[uid]) if uid in state.boards else None
        case ("GET", "dashboards", "uid", uid, "public-dashboards"):
            return (200, state.public[uid]) if uid in state.public else None
        case ("POST", "dashboards", "uid", uid, "public-dashboards"):
            state.public[uid] = {"uid": f"p-{uid}", "accessToken": 32 * "a", **body}
            return 200, state.public[uid]
        case ("PATCH", "dashboards", "uid", uid, "public-dashboards", _):
            state.public[uid].update(body)
            return 200, state.public[uid]
        case ("POST", "dashboards", "db"):
            uid, held = body["dashboard"]["uid"], state.boards.get(body["dashboard"]["uid"])
            if uid in state.provisioned:
                return 400, {"message": "Cannot save provisioned dashboard"}
            if held and not body.get("overwrite"):
                return 412, {"message": "A dashboard with the same uid already exists"}
            if body["folderUid"] not in state.folders:
                return 400, {"message": "folder not found"}
            state.save(uid, body["dashboard"], body["folderUid"], who)
            return 200, {"uid": uid, "status": "success"}
        case ("GET", "apis", "dashboard.grafana.app", "v1beta1", "namespaces", "default", "dashboards", uid):
            version = str(state.boards[uid]["dashboard"]["version"])
            return 200, {"metadata": {"name": uid, "resourceVersion": version}, "spec": state.boards[uid]["dashboard"]}
        case ("PUT", "apis", "dashboard.grafana.app", "v1beta1", "namespaces", "default", "dashboards", uid):
            if body["metadata"]["resourceVersion"] != str(state.boards[uid]["dashboard"]["version"]):
                return 409, {"message": "the object has been modified"}
            state.save(uid, {**body["spec"], "uid": uid}, state.boards[uid]["meta"]["folderUid"], who)
            return 200, body
    return None


@contextmanager
def running(state: State, host: str = "127.0.0.1") -> Iterator[str]:
    """The server's address, while the block runs."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app(state), host=host, port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
