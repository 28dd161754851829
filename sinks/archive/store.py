"""Where the archive lies: a folder, or a bucket of any S3-compatible store; whole objects are put and got."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from sinks.archive.chain import Broken, Line, chain_path, decoded
from streams.errors import Misconfigured, Retry
from streams.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config

Store = LocalStore | S3Store


def opened(settings: Settings) -> Store:
    """The store of these settings; a folder is made. Raises Misconfigured when it cannot be, or a credential is missing."""
    asked = settings.archive
    if asked.bucket is None:
        folder = asked.folder or settings.state_dir / "archive"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Misconfigured(f"the archive's folder {folder} cannot be made ({error.strerror})", "set archive.folder") from error
        return LocalStore(folder.resolve())
    secret = asked.secret()
    if (asked.key_id is None) != (secret is None):
        raise Misconfigured("archive.key_id and archive.credential go together", "give both, or neither")
    config: S3Config = {"region": asked.region, "virtual_hosted_style_request": asked.url is None}
    if asked.url is not None:
        config["endpoint"] = asked.url
    if asked.key_id is not None and secret is not None:
        config["access_key_id"], config["secret_access_key"] = asked.key_id, secret.decode()
    plain = asked.url is not None and asked.url.startswith("http://")
    return S3Store(asked.bucket, config=config, client_options={"allow_http": plain, "connect_timeout": "5s", "timeout": "60s"})


def get(store: Store, path: str) -> bytes | None:
    """A whole object; None when there is none. Raises Retry, Misconfigured."""
    with _reaching():
        try:
            return bytes(obstore.get(store, path).bytes())
        except FileNotFoundError:
            return None


def chunks(store: Store, path: str) -> Iterator[bytes]:
    """An object piece by piece. Raises FileNotFoundError when there is none; Retry, Misconfigured."""
    with _reaching():
        for piece in obstore.get(store, path).stream():
            yield bytes(piece)


def put(store: Store, path: str, content: bytes) -> None:
    """Write a whole object, or replace it: all of it or nothing. Raises Retry, Misconfigured."""
    with _reaching():
        obstore.put(store, path, content, use_multipart=False)


def settle(store: Store) -> None:
    """When it returns, what was put is on the disk; a bucket answers only then."""
    if isinstance(store, LocalStore):
        os.sync()


def paths(store: Store, prefix: str = "") -> list[str]:
    """All objects below a prefix, in order. Raises Retry, Misconfigured."""
    with _reaching():
        return sorted(found["path"] for page in obstore.list(store, prefix or None) for found in page)


def load(store: Store, name: str) -> tuple[list[Line], Broken | None]:
    """The chain of that name, as `chain.decoded` gives it; no lines where there is none. Raises Retry, Misconfigured."""
    content = get(store, chain_path(name))
    return ([], None) if content is None else decoded(content)


def whole(store: Store, name: str) -> list[Line]:
    """The chain of that name. Raises Retry, and Misconfigured when it is not what was written."""
    lines, broken = load(store, name)
    if broken is not None:
        raise damaged(name, broken.what)
    return lines


def damaged(name: str, what: str) -> Misconfigured:
    """To raise when a chain is not what was written."""
    return Misconfigured(f"the archive {name} is damaged: {what}", "`ioc archive verify` says where; restore it from its copy")


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Misconfigured("the archive's store refuses us", "check archive.key_id, archive.credential and what they may do") from error
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise Retry(
            f"the archive cannot be reached: {str(error).splitlines()[0][:200]}", "is archive.url or archive.folder there?"
        ) from error
