"""How much one address may ask for: requests per second, streams at a time, connections that say nothing."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BURST_SECONDS = 12.0
MOST_ADDRESSES = 10_000
SILENT_SECONDS = 10.0
DRAIN_SECONDS = 1.0
MOST_CONNECTIONS = 600  # of one peer, a proxy too


@dataclass
class Buckets:
    """Requests of each address: `per_second` in the long run, a burst of `BURST_SECONDS` of it at once."""

    per_second: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, address: str, cost: float, now: float) -> bool:
        """Whether the address may have this one."""
        most = self.per_second * BURST_SECONDS
        left, at = self._left.pop(address, (most, now))
        left = min(most, left + (now - at) * self.per_second)
        if len(self._left) >= MOST_ADDRESSES:
            del self._left[next(iter(self._left))]  # the one not seen for longest
        self._left[address] = (left - cost if left >= cost else left, now)
        return left >= cost


def inside(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    try:
        found = _plain(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def of(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> str:
    """Whose request this is: the peer, or the last address that a trusted proxy saw. An IPv6 host counts as its /64, which is one customer."""
    found = peer
    if inside(peer, trusted):
        for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
            try:
                found = str(_plain(hop.strip()))
            except ValueError:
                break
            if not inside(found, trusted):
                break
    try:
        plain = _plain(found)
    except ValueError:
        return found
    return str(ipaddress.ip_network((plain, 64), strict=False)) if plain.version == 6 else str(plain)


def loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return _plain(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.ip_address(address.partition("%")[0])
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


class Bounded(H11Protocol):
    """uvicorn's HTTP, but a connection that does not finish a request's head in time is cut, and no peer holds all of them."""

    _held: ClassVar[Counter[str]] = Counter()
    _timer: asyncio.TimerHandle | None = None
    _peer = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        self._held[self._peer] += 1
        if self._held[self._peer] > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._timer = self.loop.call_later(SILENT_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        heard = self.conn.their_state is not h11.IDLE
        if heard and self.cycle is not None and self.cycle.response_complete:
            return
        if heard and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif not heard and self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(SILENT_SECONDS, self.transport.abort)

    def on_response_complete(self) -> None:
        """Who was answered and still sends his body is heard a little longer, so that he gets the answer, and then cut."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and self._timer is None:
            self._timer = self.loop.call_later(DRAIN_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._held[self._peer] -= 1
        if not self._held[self._peer]:
            del self._held[self._peer]
        super().connection_lost(exc)


class Streams:
    """Live streams open now, by address."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether the address may have one more; then `leave` must follow."""
        if self._open[address] >= self._most:
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
