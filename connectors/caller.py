"""Who calls a webhook, where that stands in a header and not in the notice: SePay's ways, and the tokens that two senders ask for."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qs

from connectors.connector import text
from connectors.formats import json
from streams.errors import Misconfigured, Reject
from streams.settings import Source

TOKEN_SECONDS = 3600

Check = Callable[[Mapping[str, str], bytes, float], bool]
"""(headers, body, seconds since 1970) -> whether the caller is who they should be."""


def check(source: Source, usual: str) -> Check:
    """The check of a source's callers, by its option `auth`: `hmac`, `apikey`, `secretkey`, `bearer`, or several of them with commas between,
    any of which will do; or `none` (`usual`, where it says nothing). Raises Misconfigured."""
    ways, secret = [way.strip() for way in text(source, "auth", usual).split(",")], source.secret() or b""
    if not _WAYS.keys() >= {*ways} or ("none" in ways and len(ways) > 1):
        raise Misconfigured(
            f"source {source.name}: options.auth must be of {', '.join(_WAYS)}, and none stands alone", f'write e.g. auth = "{usual}"'
        )
    return lambda headers, body, now: any(_WAYS[way](headers, body, source.name, secret, now) for way in ways)


def needs_secret(source: Source) -> bool:
    """Whether its callers have to prove anything: all do, but where the source says `auth = "none"`, for a network that nobody else is in."""
    return text(source, "auth", "") != "none"


def token(source: str, secret: bytes, now: float) -> str:
    """What a caller who knows the secret may show instead of it, for TOKEN_SECONDS."""
    until = str(int(now) + TOKEN_SECONDS)
    return f"{until}.{_stamp(source, secret, until)}"


def asks_rightly(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    """Whether somebody who asks for a token knows the secret: as client_secret (OAuth2, in the form or by Basic) or password (a login, where
    hospitals' programs give the MD5 of it)."""
    given = _given(headers, body).encode("utf-8", "replace")
    digest = hashlib.md5(secret, usedforsecurity=False).hexdigest().encode()
    return hmac.compare_digest(given, secret) | hmac.compare_digest(given.lower(), digest)


def is_form(kind: str) -> bool:
    """Whether a content type says that a body is a form with parts."""
    return kind.lower().startswith("multipart/form-data")


def file_in_form(kind: str, body: bytes) -> bytes:
    """The first file of a multipart form, as hospitals upload theirs; the body itself where there is none. kind: its content type."""
    return next((content for _, is_file, content in _parts(kind, body) if is_file), body)


def _parts(kind: str, body: bytes) -> Iterator[tuple[str, bool, bytes]]:
    """(name, whether it is a file, content) of the parts of a form."""
    read = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode("latin-1", "replace") + b"\r\n\r\n" + body)
    for part in read.iter_parts() if read.is_multipart() else ():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            yield str(part.get_param("name", "", "content-disposition")), bool(part.get_filename()), content


def _given(headers: Mapping[str, str], body: bytes) -> str:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode("utf-8", "replace").partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    if is_form(kind := headers.get("content-type", "")):
        form = {name: [content.decode("utf-8", "replace").strip()] for name, _, content in _parts(kind, body)}
        return next(iter(form.get("client_secret", form.get("password", []))), "")
    try:
        held = json.read(body)
    except Reject:
        form = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
        return next(iter(form.get("client_secret", form.get("password", []))), "")
    found = held.get("client_secret", held.get("password")) if isinstance(held, dict) else None
    return found if isinstance(found, str) else ""


def _stamp(source: str, secret: bytes, until: str) -> str:
    return hmac.new(secret, f"token|{source}|{until}".encode(), hashlib.sha256).hexdigest()


def _hmac(headers: Mapping[str, str], body: bytes, source: str, secret: bytes, now: float) -> bool:
    """X-SePay-Signature: sha256= and the HMAC of time, dot, body. No window for the time: a notice that comes again counts nothing, and one that was
    held up for hours must not be lost."""
    signed = headers.get("x-sepay-timestamp", "").encode() + b"." + body
    given = headers.get("x-sepay-signature", "").strip().lower().removeprefix("sha256=")
    return hmac.compare_digest(hmac.new(secret, signed, hashlib.sha256).hexdigest().encode(), given.encode("utf-8", "replace"))


def _apikey(headers: Mapping[str, str], body: bytes, source: str, secret: bytes, now: float) -> bool:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "apikey" and hmac.compare_digest(key.strip().encode("latin-1", "replace"), secret)  # as its bytes came


def _secretkey(headers: Mapping[str, str], body: bytes, source: str, secret: bytes, now: float) -> bool:
    """X-Secret-Key: the secret itself, as SePay's gateway shows it where its merchant chose the auth type SECRET_KEY
    (developer.sepay.vn/en/cong-thanh-toan/IPN)."""
    return hmac.compare_digest(headers.get("x-secret-key", "").strip().encode("latin-1", "replace"), secret)


def _bearer(headers: Mapping[str, str], body: bytes, source: str, secret: bytes, now: float) -> bool:
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    until, _, stamp = shown.strip().partition(".")
    if scheme.lower() != "bearer" or not (until.isascii() and until.isdecimal() and len(until) < 12):
        return False
    return hmac.compare_digest(_stamp(source, secret, until).encode(), stamp.encode("utf-8", "replace")) and now < int(until)


def _none(headers: Mapping[str, str], body: bytes, source: str, secret: bytes, now: float) -> bool:
    return True


_WAYS = {"hmac": _hmac, "apikey": _apikey, "secretkey": _secretkey, "bearer": _bearer, "none": _none}
