"""Pseudonyms at the door: keyed hashes, one key per domain, and the sealing of records that could not be parsed."""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet

from streams.errors import Misconfigured

DOMAINS = ("tax", "health", "payment")


@dataclass(frozen=True, repr=False)
class Pseudonyms:
    """Keyed hashes of one domain. `key` is at least 32 secret bytes; the repr never shows it.

    One key per domain, so that the same person in tax and in health data cannot be joined (Law 91/2025; MST and CCCD are
    small spaces, so an unkeyed hash could be reversed by trying them all).
    """

    key: bytes
    _keys: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, what: str, value: str) -> str:
        """32 hex digits for `value` as a `what` (`mst`, `message`, `encounter`): equal values of one kind give equal pseudonyms."""
        return hashlib.blake2b(value.encode(), key=self._key(what), digest_size=16).hexdigest()

    def body(self, canonical: bytes) -> str:
        """16 hex digits of a record's canonical content."""
        return hashlib.blake2b(canonical, key=self._key("body"), digest_size=8).hexdigest()

    def raw(self, source: str, record: bytes) -> str:
        """32 hex digits of a raw record of a source: the identity of what could not be parsed."""
        return hashlib.blake2b(source.encode() + b"\0" + record, key=self._key("raw"), digest_size=16).hexdigest()

    def _key(self, what: str) -> bytes:
        key = self._keys.get(what)
        if key is None:
            key = self._keys[what] = hmac.new(self.key, what.encode(), "sha256").digest()
        return key


@dataclass(frozen=True, repr=False)
class Keys:
    """All secrets of the door: a pseudonym key per domain (hex, 32 bytes and more) and the sealing key (Fernet)."""

    domains: Mapping[str, bytes]
    sealing: bytes

    def domain(self, name: str) -> Pseudonyms:
        """The pseudonyms of one of `DOMAINS`."""
        return Pseudonyms(self.domains[name])

    def seal(self, record: bytes) -> str:
        """The record, encrypted and authenticated, as base64 text."""
        return Fernet(self.sealing).encrypt(record).decode()

    def unseal(self, sealed: str) -> bytes:
        """What `seal` was given. Raises `cryptography.fernet.InvalidToken` when it was changed or the key differs."""
        return Fernet(self.sealing).decrypt(sealed.encode())


def load(state_dir: Path) -> Keys:
    """The keys in IOC_KEYS_FILE, else `state_dir`/secrets/keys.json: `{"tax": hex, "health": hex, "payment": hex, "sealing": text}`.

    Raises Misconfigured when the file is absent, unreadable or lacks a key.
    """
    path = Path(os.environ.get("IOC_KEYS_FILE") or state_dir / "secrets" / "keys.json")
    try:
        held = json.loads(path.read_text())
        return Keys({name: bytes.fromhex(held[name]) for name in DOMAINS}, held["sealing"].encode())
    except (OSError, ValueError, KeyError) as error:
        raise Misconfigured(
            f"the pseudonym keys in {path} cannot be read ({type(error).__name__})", "run `ioc up`, which makes them, or set IOC_KEYS_FILE"
        ) from error


def create(state_dir: Path) -> None:
    """Write fresh keys to `state_dir`/secrets/keys.json (mode 600) unless there are some: losing them would change every pseudonym."""
    path = state_dir / "secrets" / "keys.json"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = {name: secrets.token_hex(32) for name in DOMAINS} | {"sealing": Fernet.generate_key().decode()}
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(keys, file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
