"""Who looks: signed links and cookies, the header of an OIDC proxy, public boards; what each of them may ask for."""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from streams.errors import Misconfigured

COOKIE = "ioc_wall"
PROXY_SECONDS = 3600.0  # a stream opened by a proxy's user ends after so long, and the proxy is asked again
OPERATORS_ONLY = ("/api/screens",)
_BOARD = re.compile(r"/(?:d|api/boards)/([^/]+)(?:/panels/\d+)?")
_FOR_ALL = ("/", "/api/boards", "/api/map", "/api/seen", "/api/spaces")


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a link or a cookie gives: boards (None: all), until when (seconds since 1970). once: the link works a single time."""

    kind: Literal["link", "cookie"]
    id: str
    name: str
    until: float
    boards: tuple[str, ...] | None = None
    operator: bool = False
    once: bool = False


@dataclass(frozen=True)
class Who:
    """One who asks. boards: None for all. stamp: of the key that vouches for him, "" when none does."""

    name: str = ""
    boards: frozenset[str] | None = frozenset()
    operator: bool = False
    until: float = float("inf")
    stamp: str = ""

    def whole(self, uid: str) -> bool:
        """Whether the board is shown to him as it is; else only if it is public, with small cells suppressed."""
        return self.boards is None or uid in self.boards


EVERYONE = Who("everyone", None, operator=True)
NOBODY = Who()


class Key:
    """The key of links and cookies in a file of mode 600; read again when the file changes, so that replacing it revokes all of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = ""
        self._fernet: Fernet | None = None

    def make(self) -> None:
        """Write a key unless there is one."""
        if not self._path.exists():
            self.rotate(keep=True)

    def rotate(self, keep: bool = False) -> None:
        """Replace the key in one step (keep: unless another process was sooner): no link and no cookie made before is good any more."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
        if keep:
            with contextlib.suppress(FileExistsError):
                os.link(fresh, self._path)
            fresh.unlink()
        else:
            fresh.replace(self._path)

    def _read(self) -> Fernet:
        try:
            found = self._path.stat()
            stamp = f"{found.st_ino}.{found.st_mtime_ns}"
            if self._fernet is None or stamp != self._stamp:
                self._fernet, self._stamp = Fernet(self._path.read_bytes().strip()), stamp
        except (OSError, ValueError) as error:
            self._fernet = None
            raise Misconfigured(f"the wall's key {self._path} cannot be read", "run `ioc wall rotate`, which makes a new one") from error
        return self._fernet

    def vouches(self, who: Who) -> bool:
        """Whether the login of a stream that goes on is still good: not expired, its key not replaced."""
        try:
            return time.time() < who.until and (not who.stamp or who.stamp == self.stamp())
        except Misconfigured:
            return False

    def stamp(self) -> str:
        """Changes with the key. Raises Misconfigured when it cannot be read."""
        self._read()
        return self._stamp

    def sign(self, grant: Grant) -> str:
        """The grant, encrypted and authenticated (Fernet: AES and HMAC-SHA256), as text for a URL. Raises Misconfigured."""
        return self._read().encrypt(msgspec.json.encode(grant)).decode()

    def grant(self, token: str, kind: str, now: float) -> Grant | None:
        """What the token gives now; None when it is forged, of another kind, expired or from an older key. Raises Misconfigured."""
        try:
            found = msgspec.json.decode(self._read().decrypt(token), type=Grant)
        except (InvalidToken, msgspec.MsgspecError, ValueError):
            return None
        return found if found.kind == kind and found.until > now else None

    def use(self, grant: Grant, now: float) -> bool:
        """Whether this link may be used now; one that works once is marked in a folder beside the key, for every server that shares it."""
        if not grant.once:
            return True
        used = self._path.with_name("wall-used")
        used.mkdir(exist_ok=True, mode=0o700)
        for old in used.iterdir():
            if int(old.name.partition(".")[0]) < now:
                old.unlink(missing_ok=True)
        try:
            (used / f"{int(grant.until) + 1}.{grant.id}").touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True


def new_grant(
    kind: Literal["link", "cookie"], name: str, until: float, boards: tuple[str, ...] | None, operator: bool, once: bool
) -> Grant:
    """A grant with an id of its own."""
    return Grant(kind, secrets.token_hex(8), name, until, boards, operator, once)


def by_cookie(key: Key, header: str, now: float) -> Who:
    """Whom the Cookie header stands for; NOBODY when it stands for none. Raises Misconfigured."""
    try:
        held = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return NOBODY
    grant = key.grant(held.value, "cookie", now) if held else None
    if grant is None:
        return NOBODY
    boards = None if grant.boards is None else frozenset(grant.boards)
    return Who(grant.name, boards, grant.operator, grant.until, key.stamp())


def may(who: Who, public: frozenset[str], path: str, query: str) -> bool:
    """Whether he may ask for this. What is not named here needs a login to all boards: a new page is closed until someone opens it."""
    if path in OPERATORS_ONLY:
        return who.operator
    if who.boards is None:
        return True
    asked = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    if any(name == "space" for name, _ in asked):
        return False  # links and public boards were given out for what is live
    if path in _FOR_ALL:
        return bool(who.boards or public)
    named = [value for name, value in asked if name == "board"]
    in_path = _BOARD.fullmatch(path)
    named += [in_path[1]] if in_path else []
    if not named or any(not who.whole(uid) and uid not in public for uid in named):
        return False
    if all(who.whole(uid) for uid in named):
        return True
    # the public sees boards as they stand now: with periods and moments of their choice they could take sums apart
    declared = all(name in ("board", "screen") or name.startswith("var-") for name, _ in asked)
    return path.startswith("/d/") or (declared and (in_path is not None or path == "/api/live"))


Identify = Callable[[Mapping[str, str], bool], Who]
"""Headers (lower case), whether a trusted proxy sent them -> who asks. Raises Misconfigured."""


def identify(login: tuple[str, ...], key: Key, user_header: str, operators: frozenset[str]) -> Identify:
    """How this wall tells who asks: by the proxy's header where a trusted proxy sent it, else by cookie."""

    def found(headers: Mapping[str, str], trusted: bool) -> Who:
        if not login:
            return EVERYONE
        user = headers.get(user_header.lower(), "") if trusted and "proxy" in login else ""
        if user and "," not in user:
            return Who(user[:100], None, user in operators, time.time() + PROXY_SECONDS)
        return by_cookie(key, headers.get("cookie", ""), time.time())

    return found
