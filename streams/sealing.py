"""Sealing: what a door sets aside is encrypted with a public key; the private one lies only where quarantine is repaired."""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from streams import secret_files
from streams.errors import Misconfigured

FILE = "quarantine.json"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)  # RFC 9180
_INFO = b"ioc quarantine "


class NotOpened(Exception):
    """No key that is held here opens it, or it was changed."""


@dataclass(frozen=True)
class PublicKey:
    """What seals. id: of the pair, eight hex digits; key: its public half, 32 bytes."""

    id: str
    key: bytes

    def seal(self, record: bytes) -> str:
        """The record, encrypted and authenticated, as text: `id.base64`. Only the private half opens it."""
        return f"{self.id}.{base64.b64encode(_SUITE.encrypt(record, self._public, _INFO + self.id.encode())).decode()}"

    @cached_property
    def _public(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(self.key)


@dataclass(frozen=True)
class PrivateKeys:
    """What opens: the private halves by id, and the keys (Fernet) of before November 2026. The repr shows none of them."""

    keys: Mapping[str, bytes] = field(repr=False)
    fernet: tuple[str, ...] = field(default=(), repr=False)

    def open(self, sealed: str) -> bytes:
        """What `PublicKey.seal` was given. Raises NotOpened."""
        id, dot, text = sealed.partition(".")
        try:
            if dot:
                private = X25519PrivateKey.from_private_bytes(self.keys[id])
                return _SUITE.decrypt(base64.b64decode(text, validate=True), private, _INFO + id.encode())
        except (KeyError, InvalidTag, binascii.Error, ValueError):
            raise NotOpened from None
        for key in self.fernet:
            try:
                return Fernet(key).decrypt(sealed.encode())
            except InvalidToken:
                continue
        raise NotOpened


def pair() -> tuple[PublicKey, bytes]:
    """A fresh key: its public half, and the private one (32 bytes)."""
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return PublicKey(sha256(public).hexdigest()[:8], public), private.private_bytes_raw()


def path_of(state_dir: Path) -> Path:
    """Where the private keys lie: IOC_QUARANTINE_KEYS_FILE, else secrets/quarantine.json of the state folder."""
    return Path(os.environ.get("IOC_QUARANTINE_KEYS_FILE") or state_dir / "secrets" / FILE)


def load(state_dir: Path) -> PrivateKeys:
    """The private keys in the variable IOC_QUARANTINE_KEYS, else in the file of `path_of`: `{"keys": {id: hex}, "fernet": [text]}`.

    Raises Misconfigured when they are not here, or readable by others.
    """
    path = path_of(state_dir)
    text = os.environ.get("IOC_QUARANTINE_KEYS")
    try:
        held = json.loads(secret_files.read(path) if text is None else text)
        return PrivateKeys({str(id): bytes.fromhex(key) for id, key in held["keys"].items()}, tuple(held.get("fernet", ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        where = str(path) if text is None else "the variable IOC_QUARANTINE_KEYS"
        raise Misconfigured(
            f"the private keys of the quarantine are not in {where} ({type(error).__name__})",
            "do this where they are kept, or set IOC_QUARANTINE_KEYS_FILE; doors need none of them",
        ) from error
