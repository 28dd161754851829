"""A bounded memory of records read lately, for connectors that read the same window again on purpose."""

import hashlib
from collections.abc import Iterable

CAPACITY = 200_000  # records; 16 bytes each and their dict entry: about 25 MB


class Recent:
    """Digests of the records acknowledged lately; the oldest are forgotten first. Forgetting only costs a repeat."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._seen: dict[bytes, None] = {}
        self._capacity = capacity

    def new(self, records: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """(digest, record) of those not remembered."""
        pairs = ((hashlib.blake2b(record, digest_size=16).digest(), record) for record in records)
        return [pair for pair in pairs if pair[0] not in self._seen]

    def remember(self, digests: Iterable[bytes]) -> None:
        """Remember these."""
        for digest in digests:
            self._seen[digest] = None
        while len(self._seen) > self._capacity:
            del self._seen[next(iter(self._seen))]
