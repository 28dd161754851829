"""A running Grafana 12: pushing folder, datasource, boards, home board and playlist, and telling what somebody changed by hand."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaException
from grafana_client.model import PersonalPreferences
from niquests.exceptions import JSONDecodeError, RequestException

from grafana.layout import SOURCE
from grafana.macros import interval_seconds
from grafana.wall.library import rank
from streams.errors import IocError, Misconfigured, Retry

FOLDER_UID, FOLDER = "ioc", "IOC"
HOME = "ioc-overview"
PLAYLIST, PLAYLIST_INTERVAL = "IOC", "30s"
LEAST_REFRESH = "5s"
TIMEOUT_SECONDS = 10.0
_RESOURCE = "/apis/dashboard.grafana.app/v1beta1/namespaces/{namespace}/dashboards/{uid}"

Json = dict[str, Any]
RawBoard = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One place where Grafana and the files differ. where: `ioc-overview`, `datasource`, `home`, `playlist`; path: inside it, "" for all of it.
    who, when: who saved it last there, as Grafana tells."""

    where: str
    path: str
    file: Any
    grafana: Any
    who: str = ""
    when: str = ""


class Grafana:
    """One Grafana at `url`; use it in a `with`. credential: a service account's token, or (user, password)."""

    def __init__(self, url: str, credential: str | tuple[str, str]) -> None:
        self._url = url
        self._api = GrafanaApi.from_url(url, credential, timeout=TIMEOUT_SECONDS)
        self._api.client.url = f"{url}/api"  # what it makes of the address lacks an IPv6 address's brackets and a path's last slash
        basic = credential if isinstance(credential, tuple) else None
        headers = {"Authorization": f"Bearer {credential}"} if basic is None else {}
        self._http = httpx.Client(base_url=url, auth=basic, headers=headers, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> "Grafana":
        return self

    def __exit__(self, *_: object) -> None:
        self._api.client.s.close()
        self._http.close()

    def _ask(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What a method of grafana-client gives, None for 404. Raises Retry, Misconfigured (not allowed), Refused."""
        try:
            said = call(*arguments, **named)
        except GrafanaException as error:
            return self._refused(error.status_code, error.response, error)
        except JSONDecodeError as error:
            raise self._stranger() from error
        except RequestException as error:
            raise self._away() from error
        if isinstance(said, str):  # a page
            raise self._stranger()
        return said

    def _call(self, method: str, path: str, json: Any = None) -> Any:
        """The same for what grafana-client lacks: playlists, public dashboards, `/apis`."""
        try:
            answer = self._http.request(method, path, json=json)
            said = answer.json()
        except httpx.HTTPError as error:
            raise self._away() from error
        except ValueError as error:
            raise self._stranger() from error
        return said if answer.is_success else self._refused(answer.status_code, said)

    def _away(self) -> Retry:
        return Retry(f"Grafana at {self._url} cannot be reached", "start it, or check the address")

    def _stranger(self) -> Retry:
        return Retry(f"what answers at {self._url} is no Grafana", "check the address")

    def _refused(self, status: int, said: Any, cause: Exception | None = None) -> None:
        """None for 404, else raises. status 0: no answer in time."""
        if status == 0:
            raise self._away() from cause
        if not isinstance(said, dict):
            raise self._stranger() from cause
        message = said.get("message", "")
        if status in (401, 403):
            raise Misconfigured(f"Grafana refuses: {message}", "give the token of an Admin service account") from cause
        if status >= 500:
            raise Retry(f"Grafana at {self._url} answers {status}: {message}", "look at its log, then try again") from cause
        if status != 404:
            raise Refused(status, message) from cause

    def push(self, boards: Sequence[RawBoard], source: RawBoard, told: Callable[[str], None]) -> None:
        """Make Grafana hold these boards, their datasource, the home board and the playlist; `told` hears of every step. Safe to repeat."""
        self._push_folder(told)
        self._push_source(source, told)
        for board in boards:
            self._push_board(board)
            told(f"board {board['uid']}")
        self._ask(self._api.organization.patch_preferences, PersonalPreferences(homeDashboardUID=HOME))
        told(f"home board {HOME}")
        self._push_playlist(boards, told)

    def _push_folder(self, told: Callable[[str], None]) -> None:
        if self._ask(self._api.folder.get_folder, FOLDER_UID) is None:
            self._ask(self._api.folder.create_folder, FOLDER, uid=FOLDER_UID)
            told(f"folder {FOLDER}")

    def _push_source(self, source: RawBoard, told: Callable[[str], None]) -> None:
        held = self._ask(self._api.datasource.get_datasource_by_uid, source["uid"])
        if held is None:
            self._ask(self._api.datasource.create_datasource, dict(source))
        elif held.get("readOnly"):
            told("the datasource comes from Grafana's own files: left as it is")
            return
        else:
            self._ask(self._api.datasource.update_datasource_by_uid, source["uid"], dict(source))
        told(f"datasource {source['name']}")

    def _push_board(self, board: RawBoard) -> None:
        held = self._ask(self._api.dashboard.get_dashboard, board["uid"])
        if held is not None and held["meta"].get("provisioned"):
            if differences(board, held["dashboard"]):
                self._put_resource(board)
            return
        whole = {"dashboard": {**board, "id": None}, "folderUid": FOLDER_UID, "overwrite": True, "message": "ioc boards push"}
        self._ask(self._api.dashboard.update_dashboard, whole)

    def _put_resource(self, board: RawBoard) -> None:
        """A board that a file of Grafana's owns: the old way of saving is refused, the new one is not (nor does the file win it back)."""
        path = _RESOURCE.format(namespace=self._namespace(), uid=board["uid"])
        held = self._call("GET", path)
        spec = {key: value for key, value in board.items() if key not in ("id", "uid", "version")}
        self._call("PUT", path, {**held, "spec": spec})

    def _namespace(self) -> str:
        org = int(self._ask(self._api.organization.get_current_organization)["id"])
        return "default" if org == 1 else f"org-{org}"

    def _push_playlist(self, boards: Sequence[RawBoard], told: Callable[[str], None]) -> None:
        wanted = _playlist(boards)
        held = self._playlist()
        if held is None:
            self._call("POST", "/api/playlists", wanted)
        elif _shown(held) != _shown(wanted):
            self._call("PUT", f"/api/playlists/{held['uid']}", {**wanted, "uid": held["uid"]})
        told(f"playlist {PLAYLIST}")

    def _playlist(self) -> Json | None:
        found = next((each for each in self._call("GET", "/api/playlists") or [] if each["name"] == PLAYLIST), None)
        if found is None:
            return None
        whole: Json | None = self._call("GET", f"/api/playlists/{found['uid']}")
        return whole

    def publish(self, board: RawBoard) -> str:
        """The address at which everybody sees this board without a login: Grafana strips the SQL there. Raises Misconfigured for one with choices."""
        if board.get("templating", {}).get("list"):
            raise Misconfigured(f"{board['uid']} has template variables, which public dashboards do not know", "publish another board")
        path = f"/api/dashboards/uid/{board['uid']}/public-dashboards"
        held = self._call("GET", path)
        if held is None or not held.get("isEnabled"):
            held = self._call("PATCH" if held else "POST", f"{path}/{held['uid']}" if held else path, {"isEnabled": True})
        return f"{self._url}/public-dashboards/{held['accessToken']}"

    def diff(self, boards: Sequence[RawBoard], source: RawBoard) -> list[Change]:
        """Where Grafana differs from the files, with who changed it and when."""
        out: list[Change] = []
        for board in boards:
            held = self._ask(self._api.dashboard.get_dashboard, board["uid"])
            if held is None:
                out.append(Change(str(board["uid"]), "", "a board", None))
                continue
            meta = held["meta"]
            who, when = str(meta.get("updatedBy") or ""), str(meta.get("updated") or "")
            out += [Change(str(board["uid"]), path, a, b, who, when) for path, a, b in differences(board, held["dashboard"])]
            if meta.get("folderUid") != FOLDER_UID:
                out.append(Change(str(board["uid"]), "folder", FOLDER_UID, meta.get("folderUid"), who, when))
        known = {board["uid"] for board in boards}
        for found in self._ask(self._api.search.search_dashboards, type_="dash-db", folder_uids=FOLDER_UID, limit=1000) or []:
            if found["uid"] not in known:
                out.append(Change(str(found["uid"]), "", None, "a board"))
        return out + list(self._diff_rest(boards, source))

    def _diff_rest(self, boards: Sequence[RawBoard], source: RawBoard) -> Iterator[Change]:
        held = self._ask(self._api.datasource.get_datasource_by_uid, source["uid"])
        if held is None:
            yield Change("datasource", "", source["name"], None)
        else:
            public = {key: value for key, value in source.items() if key != "secureJsonData"}
            mine = {key: held.get(key) for key in public}
            yield from (Change("datasource", path, a, b) for path, a, b in differences(public, mine))
        home = (self._ask(self._api.organization.get_preferences) or {}).get("homeDashboardUID")
        if home != HOME:
            yield Change("home", "", HOME, home)
        wanted, playlist = _playlist(boards), self._playlist()
        if playlist is None or _shown(playlist) != _shown(wanted):
            yield Change("playlist", "", _shown(wanted), playlist and _shown(playlist))

    def board(self, uid: str) -> Json:
        """The board as Grafana holds it, without what only Grafana numbers."""
        held = self._ask(self._api.dashboard.get_dashboard, uid)
        if held is None:
            raise Misconfigured(f"Grafana has no board {uid}", "run `ioc boards diff` to see what it has")
        kept: Json = {key: value for key, value in held["dashboard"].items() if key not in ("id", "version", "iteration")}
        return kept


class Refused(IocError):
    """Grafana answered no."""

    def __init__(self, status: int | None, said: str) -> None:
        super().__init__(f"Grafana refuses ({status}): {said}", "read what it says; `ioc boards test` knows most causes")
        self.status = status


def source(host: str, database: str, user: str, password: str) -> Json:
    """The datasource of the boards: the reader role. host: host:port as Grafana reaches it."""
    return {
        "name": "IOC TimescaleDB",
        "uid": SOURCE["uid"],
        "type": SOURCE["type"],
        "access": "proxy",
        "url": host,
        "user": user,
        "isDefault": True,
        "jsonData": {
            "database": database, "sslmode": "disable", "postgresVersion": 1700, "timescaledb": True, "timeInterval": "1s",
            "maxOpenConns": 20, "maxIdleConns": 20, "maxIdleConnsAuto": True, "connMaxLifetime": 14400,
        },
        "secureJsonData": {"password": password},
    }  # fmt: skip


def _playlist(boards: Sequence[RawBoard]) -> Json:
    """All boards that make sense on a wall that nobody touches: those without a choice, and not the one for paper."""
    shown = [b for b in boards if not b.get("templating", {}).get("list") and b["uid"] != "ioc-daily"]
    ordered = sorted(shown, key=lambda board: rank(str(board["uid"])))
    items = [{"type": "dashboard_by_uid", "value": board["uid"]} for board in ordered]
    return {"name": PLAYLIST, "interval": PLAYLIST_INTERVAL, "items": items}


def _shown(playlist: RawBoard) -> list[str]:
    return [str(playlist.get("interval")), *(str(item.get("value")) for item in playlist.get("items") or [])]


def differences(file: RawBoard, grafana: RawBoard) -> list[tuple[str, Any, Any]]:
    """(path, in the file, in Grafana) of everything that differs, but for what Grafana numbers, raises or fills in by itself."""
    return list(_differ("", _plain(file), _plain(grafana)))


def _plain(board: RawBoard) -> Any:
    kept = {key: value for key, value in copy.deepcopy(dict(board)).items() if key not in ("id", "version", "iteration")}
    refresh = str(kept.get("refresh") or "")
    with contextlib.suppress(Misconfigured):
        if refresh and interval_seconds(refresh) < interval_seconds(LEAST_REFRESH):
            kept["refresh"] = LEAST_REFRESH
    for panel in kept.get("panels") or []:
        panel.pop("pluginVersion", None)
    return _filled(kept)


def _filled(value: Any) -> Any:
    """Without nulls and empty parts, which Grafana drops or adds as it likes."""
    if isinstance(value, dict):
        return {key: found for key, part in value.items() if (found := _filled(part)) not in (None, [], {}, "")}
    return [_filled(part) for part in value] if isinstance(value, list) else value


def _differ(path: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from _differ(f"{path}.{key}".lstrip("."), a.get(key), b.get(key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _differ(f"{path}[{i}]", one, other)
    elif a != b:
        yield path, a, b
