"""Alertmanager: each unit of an alarm is an alert of its own there (POST /api/v2/alerts), known by its labels."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sinks.channels.channel import needed
from sinks.channels.http import Post
from streams.errors import Misconfigured
from streams.rules.message import Message, Unit
from streams.settings import Channel as Chosen

LASTS = timedelta(days=7)
"""For how long an alert stands there that nobody ended: without an end Alertmanager would drop it after minutes, since we send it only once."""


class Alertmanager:
    """A channel. A repeat changes nothing there: the same labels are the same alert. What is about no alarm is not sent."""

    def __init__(self, post: Post, headers: dict[str, str]) -> None:
        self._post = post
        self._headers = headers

    def send(self, message: Message) -> None:
        found = {tuple(alert["labels"].items()): alert for alert in alerts(message)}  # of a night's messages the last says how it is
        if found:
            self._post(msgspec.json.encode([*found.values()]), self._headers)

    def close(self) -> None:
        self._post.close()


def alerts(message: Message) -> Iterator[dict[str, Any]]:
    """The alerts of a message and of those that it carries."""
    for part in message.parts:
        yield from alerts(part)
    for unit in message.units:
        labels = {
            "alertname": message.rule, "space": message.space, "department": message.department, "severity": message.severity,
            "owner": message.owner, "unit": unit.code, "name": unit.name,
        }  # fmt: skip
        yield {
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {"summary": message.title, "description": message.text, "runbook": message.runbook, "key": message.key},
            "startsAt": unit.since,
            "endsAt": _end(message, unit),
            "generatorURL": message.url,
        }


def _end(message: Message, unit: Unit) -> str:
    if unit.withdrawn:
        return max(unit.since, message.made_at, key=datetime.fromisoformat)
    return unit.until or (datetime.fromisoformat(message.made_at) + LASTS).isoformat()


def connect(chosen: Chosen) -> Alertmanager:
    """The channel of its settings."""
    url = needed(chosen, "url", '"http://alertmanager:9093"')
    token = chosen.secret()
    if token is not None and (not token.isascii() or any(byte < 33 for byte in token)):
        raise Misconfigured(f"channel {chosen.name}: the credential is no bearer token", "it must be printable ASCII without spaces")
    headers = {} if token is None else {"authorization": f"Bearer {token.decode()}"}
    return Alertmanager(Post(chosen.name, f"{url.rstrip('/')}/api/v2/alerts", chosen.timeout_seconds), headers)
