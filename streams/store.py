"""What the ingest service needs of a store: where it stands, a batch made ready, a batch written in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from streams.event import Touched


class Fenced(Exception):
    """The store does not stand where this batch begins: somebody else owns the partition, or it was written before. Seek."""


class Partition(NamedTuple):
    """One partition of one incarnation of a topic. name: without prefix (`einvoice`, `rejects`)."""

    name: str
    topic_id: str
    number: int


class Records(NamedTuple):
    """Records of one partition. after: the offset the store must stand at; next: where it stands afterwards; times_ms: Kafka's own."""

    partition: Partition
    after: int
    next: int
    values: Sequence[bytes]
    times_ms: Sequence[int]


class Store(Protocol):
    """One transaction per batch. All three may be called from any thread, one call at a time; prepare needs no connection."""

    def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Where each partition stands (0 when it was never seen). Raises Retry while the store is away."""
        ...

    def prepare(self, records: Sequence[Records]) -> Any:
        """The batch, decoded and encoded for `write`. Never raises for what a record says: what cannot be read goes to quarantine."""
        ...

    def write(self, prepared: Any) -> Sequence[Touched]:
        """Write it all or nothing; what was touched. Raises Fenced, or Retry while the store is away."""
        ...
