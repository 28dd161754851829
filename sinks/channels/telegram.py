"""Telegram: a bot writes the message, as plain text, into a chat (https://core.telegram.org/bots/api#sendmessage)."""

import msgspec

from sinks.channels.channel import needed, secret
from sinks.channels.http import Post
from streams.errors import Misconfigured
from streams.rules.message import Message
from streams.settings import Channel as Chosen

API = "https://api.telegram.org"
MOST_LETTERS = 4096


class _Parameters(msgspec.Struct, frozen=True):
    retry_after: float | None = None


class _Answer(msgspec.Struct, frozen=True):
    description: str = ""
    parameters: _Parameters = _Parameters()


class _Bot(Post):
    def explain(self, body: bytes) -> tuple[str, float | None]:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError:
            return "", None
        return answer.description[:200], answer.parameters.retry_after


class Telegram:
    """A channel. Nothing here can tell a repeat from a new message: a crash between sending and noting it shows the message twice."""

    def __init__(self, post: Post, chat: str) -> None:
        self._post = post
        self._chat = chat

    def send(self, message: Message) -> None:
        text = f"{message.title}\n{message.text}" if not message.text.startswith(message.title) else message.text
        # No parse_mode: what a rule or a unit is called can then mean nothing but itself.
        said = {"chat_id": self._chat, "text": cut(text), "link_preview_options": {"is_disabled": True}}
        self._post(msgspec.json.encode(said))

    def close(self) -> None:
        self._post.close()


def cut(text: str) -> str:
    """At most so many UTF-16 units as Telegram takes."""
    most = MOST_LETTERS * 2
    data = text.encode("utf-16-le")
    return text if len(data) <= most else data[: most - 2].decode("utf-16-le", "ignore") + "…"


def connect(chosen: Chosen) -> Telegram:
    """The channel of its settings."""
    chat, token = needed(chosen, "chat", '"-100123456789"'), secret(chosen, "the bot's token")
    if not token.replace(":", "").replace("-", "").replace("_", "").isalnum() or not token.isascii():
        raise Misconfigured(f"channel {chosen.name}: this is no bot's token", "@BotFather gives one: 123456:ABC-DEF")
    return Telegram(_Bot(chosen.name, f"{(chosen.url or API).rstrip('/')}/bot{token}/sendMessage", chosen.timeout_seconds), chat)
