"""Pseudonyms at the door: keyed hashes, one key per domain, and how a key is followed by a newer one."""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from streams import secret_files
from streams.errors import Misconfigured
from streams.event import Event, Rejected, encode
from streams.sealing import PublicKey

DOMAINS = ("tax", "health", "payment")
FILE = "keys.json"
FIRST = "01"
AKA = b',"aka":{'
_NAME = re.compile(rb'"([0-9a-f]{32}|[0-9a-f]{16})"')
_BLOCK = 64  # bytes of a block of SHA-256 (RFC 2104)


class _Hash(Protocol):
    def __call__(self, value: bytes) -> str: ...


@dataclass(frozen=True, repr=False)
class Pseudonyms:
    """Keyed hashes of one domain. `key` is at least 32 secret bytes; the repr never shows it. id: two hex digits, which every name begins with.

    One key per domain, so that the same person in tax and in health data cannot be joined (Law 91/2025; MST and CCCD are
    small spaces, so an unkeyed hash could be reversed by trying them all). HMAC-SHA256, cut to 120 bits behind the id; without an id BLAKE2b of
    128 bits, as keys of before November 2026 make them.
    """

    key: bytes
    id: str = FIRST
    since: str = ""
    _hashes: dict[str, _Hash] = field(default_factory=dict)

    def __call__(self, what: str, value: str) -> str:
        """32 hex digits for `value` as a `what` (`mst`, `message`, `encounter`): equal values of one kind give equal pseudonyms."""
        return (self.id + self._hash(what)(value.encode()))[:32]

    def body(self, canonical: bytes) -> str:
        """16 hex digits of a record's canonical content."""
        if self.id:
            return self._hash("body")(canonical)[:16]
        return hashlib.blake2b(canonical, key=self._key("body"), digest_size=8).hexdigest()

    def raw(self, source: str, record: bytes) -> str:
        """32 hex digits of a raw record of a source: the identity of what could not be parsed."""
        return (self.id + self._hash("raw")(source.encode() + b"\0" + record))[:32]

    def _key(self, what: str) -> bytes:
        return hmac.new(self.key, what.encode(), "sha256").digest()

    def _hash(self, what: str) -> _Hash:
        made = self._hashes.get(what)
        if made is None:
            made = self._hashes[what] = _hmac(self._key(what)) if self.id else _blake2b(self._key(what))
        return made


def _hmac(key: bytes) -> _Hash:
    """HMAC-SHA256 with both padded keys hashed once: a third of the time that the hmac module takes for each value."""
    padded = key.ljust(_BLOCK, b"\0")
    inside, outside = (hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))

    def hashed(value: bytes) -> str:
        inner, outer = inside.copy(), outside.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.hexdigest()

    return hashed


def _blake2b(key: bytes) -> _Hash:
    return lambda value: hashlib.blake2b(value, key=key, digest_size=16).hexdigest()


@dataclass(frozen=True, repr=False)
class Keys:
    """All that a door needs: of each domain the key that names are made with and, while a newer one takes over, that one too; the public key
    that seals. Nothing here opens what is sealed (`streams.sealing.load`)."""

    domains: Mapping[str, tuple[Pseudonyms, ...]]
    sealing: PublicKey

    def domain(self, name: str) -> Pseudonyms:
        """What makes the names of one of `DOMAINS`: of the keys held, the oldest."""
        return self.domains[name][0]

    def newer(self, name: str) -> Pseudonyms | None:
        """The key that is taking over; None when none is."""
        held = self.domains[name]
        return held[1] if len(held) > 1 else None

    def seal(self, record: bytes) -> str:
        """The record, encrypted and authenticated, as text."""
        return self.sealing.seal(record)


PseudonymOrHash = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{32}|[0-9a-f]{16})$")]


class Named(msgspec.Struct, frozen=True):
    """What an encoded event or reject carries beside its contract while a key takes over. aka: name under the newer key -> its name here."""

    aka: dict[PseudonymOrHash, PseudonymOrHash]


def also_known_as(record: Event | Rejected, newer: Event | Rejected) -> bytes:
    """The record encoded, with `aka`: what its names are under the newer key. newer: the same record, made with that key.

    Raises ValueError when the two differ in more than their names: a parser that puts names in the order of their digits.
    """
    mine, other = encode(record), encode(newer)
    pairs = dict(zip(names(other), names(mine), strict=True))
    if renamed(other, pairs) != mine:
        raise ValueError("the two differ in more than their names")
    return mine[:-1] + AKA[:-1] + msgspec.json.encode(pairs) + b"}"


def names(value: bytes) -> list[str]:
    """The pseudonyms (and the body's hash) in an encoded record, in their order."""
    return [found.decode() for found in _NAME.findall(value)]


def renamed(value: bytes, known: Mapping[str, str]) -> bytes:
    """The encoded record with the names that are known replaced."""

    def name(found: re.Match[bytes]) -> bytes:
        older = known.get(found[1].decode())
        return found[0] if older is None else b'"' + older.encode() + b'"'

    return _NAME.sub(name, value)


def path_of(state_dir: Path) -> Path:
    """Where the keys lie: IOC_KEYS_FILE, else secrets/keys.json of the state folder."""
    return Path(os.environ.get("IOC_KEYS_FILE") or state_dir / "secrets" / FILE)


def load(state_dir: Path) -> Keys:
    """The keys in the variable IOC_KEYS, else in the file of `path_of`.

    Raises Misconfigured when they are absent, readable by others, or not as `streams.keyring` writes them.
    """
    path = path_of(state_dir)
    held = os.environ.get("IOC_KEYS")
    try:
        return keys_of(json.loads(secret_files.read(path) if held is None else held))
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f"in {path}" if held is None else "in the variable IOC_KEYS"
        raise Misconfigured(
            f"the pseudonym keys {where} cannot be read ({type(error).__name__})",
            "run `ioc up`, which makes them and brings older ones up to date, or set IOC_KEYS_FILE",
        ) from error


def keys_of(held: Mapping[str, Any]) -> Keys:
    """The keys that a file says: of each domain a list of id, key (hex) and since; `sealing`: id and public (hex)."""
    domains = {
        name: tuple(Pseudonyms(bytes.fromhex(key["key"]), str(key["id"]), str(key.get("since", ""))) for key in held[name])
        for name in DOMAINS
    }
    if not all(domains.values()):
        raise ValueError("a domain has no key")
    return Keys(domains, PublicKey(str(held["sealing"]["id"]), bytes.fromhex(held["sealing"]["public"])))
