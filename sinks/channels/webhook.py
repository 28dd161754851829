"""Webhook: the message as JSON, signed, to any address: the way to gateways of Zalo OA, ZNS and SMS."""

import hashlib
import hmac
import time

import msgspec

from sinks.channels.channel import needed, secret
from sinks.channels.http import Post
from streams.rules.message import Message
from streams.settings import Channel as Chosen


class Webhook:
    """A channel. The body is the message (docs/ringing.md); `X-IOC-Signature: t=SECONDS,v1=HEX` is the HMAC-SHA256 of `SECONDS.body`."""

    def __init__(self, post: Post, key: str) -> None:
        self._post = post
        self._key = key.encode()

    def send(self, message: Message) -> None:
        body, at = msgspec.json.encode(message), int(time.time())
        signed = f"t={at},v1={sign(self._key, at, body)}"
        self._post(body, {"x-ioc-signature": signed, "idempotency-key": message.key})

    def close(self) -> None:
        self._post.close()


def sign(key: bytes, at: int, body: bytes) -> str:
    """The signature of a body sent at a second, in hex."""
    return hmac.new(key, b"%d.%b" % (at, body), hashlib.sha256).hexdigest()


def connect(chosen: Chosen) -> Webhook:
    """The channel of its settings."""
    url = needed(chosen, "url", '"https://gateway.example.vn/ioc"')
    return Webhook(Post(chosen.name, url, chosen.timeout_seconds), secret(chosen, "the key that signs"))
