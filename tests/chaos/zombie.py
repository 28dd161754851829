"""`ioc work`, but it freezes itself (SIGSTOP) with its first batch in hand: `python -m tests.chaos.zombie WHEN`."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from deploy.commands import work
from sinks.batch import Batch, Counts, Part
from sinks.timescale import Timescale
from streams.event import Touched

_BLIND = """
update stream_offset o set next_offset = n.next from unnest(%s::uuid[], %s::int[], %s::bigint[]) n(topic_id, partition, next)
where o.topic_id = n.topic_id and o.partition = n.partition"""


class FrozenBefore(Timescale):
    """Freezes when the batch is prepared and the transaction has not begun."""

    frozen = False

    def write(self, prepared: Batch) -> Sequence[Touched]:
        """As `Store.write`."""
        self.freeze()
        return super().write(prepared)

    def freeze(self) -> None:
        """Once in a life."""
        if not self.frozen:
            self.frozen = True
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.5)  # a signal to the process may reach another thread first: this one must not run on meanwhile


class Unguarded(FrozenBefore):
    """The same without its guard: it moves the offset without a look at where it stands."""

    def _guard(self, connection: Any, batch: Batch) -> None:
        moves = [(r.partition.topic_id, r.partition.number, r.next) for r in batch.offsets]
        connection.execute(_BLIND, [[*column] for column in zip(*moves, strict=True)])


class FrozenWithin(FrozenBefore):
    """Freezes inside the transaction, with the offsets' rows locked."""

    def write(self, prepared: Batch) -> Sequence[Touched]:
        """As `Store.write`."""
        return Timescale.write(self, prepared)

    def _write_part(self, connection: Any, part: Part, counts: Counts) -> None:
        self.freeze()
        super()._write_part(connection, part, counts)


WHEN = {"before": FrozenBefore, "unguarded": Unguarded, "within": FrozenWithin}

if __name__ == "__main__":
    setattr(work, "Timescale", WHEN[sys.argv[1]])  # noqa: B010  # the one thing that is not as in `ioc work`
    work.work()
