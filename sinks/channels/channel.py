"""The interface of a channel: a message goes out or it does not; and how its settings get theirs."""

import importlib
from typing import Protocol

from streams.errors import Misconfigured
from streams.rules.message import Message
from streams.settings import Channel as Chosen

CHANNELS = {name: f"sinks.channels.{name}" for name in ("mail", "telegram", "webhook", "alertmanager")}


class Channel(Protocol):
    """One way to tell people. A message may be sent twice, when nobody knows whether it went out: both times with the same key."""

    def send(self, message: Message) -> None:
        """Returns once the other side has taken it. Raises Retry when it may take it later, Reject when it never will; what they say names
        neither secrets nor addresses that hold some."""

    def close(self) -> None:
        """Let go of connections. It may be used again afterwards."""


def connect(chosen: Chosen) -> Channel:
    """The channel that settings describe; no I/O but to read its credential. Raises Misconfigured when it lacks what its kind needs."""
    made: Channel = importlib.import_module(CHANNELS[chosen.kind]).connect(chosen)
    return made


def needed(chosen: Chosen, name: str, example: str) -> str:
    """A setting that the kind cannot do without. Raises Misconfigured when it is not there."""
    value = getattr(chosen, name)
    if not value:
        raise Misconfigured(f"channel {chosen.name}: a {chosen.kind} channel needs {name}", f"write {name} = {example}")
    return str(value)


def secret(chosen: Chosen, what: str) -> str:
    """The credential, which the kind cannot do without. Raises Misconfigured."""
    found = chosen.secret()
    if not found:
        raise Misconfigured(
            f"channel {chosen.name}: a {chosen.kind} channel needs a credential, {what}", 'write credential = "env:NAME" or "file:PATH"'
        )
    return found.decode()
