"""The ingest transaction: offset guard, identity, raw events, ledger, quarantine, all or nothing."""

from collections.abc import Collection, Mapping, Sequence

from psycopg import sql

from sinks import alias, copy
from sinks.batch import MINUTE_US, Batch, Counts, Part, Preparer, Repeat
from sinks.derive import columns
from sinks.session import Connection, Session, copied, owe
from streams.department import Department
from streams.event import Touched, moment
from streams.pseudonym import AKA, Keys, renamed
from streams.store import Fenced, Partition, Records

_GUARD = """
update stream_offset o set next_offset = n.next
from unnest(%s::uuid[], %s::int[], %s::bigint[], %s::bigint[]) n(topic_id, partition, after, next)
where o.topic_id = n.topic_id and o.partition = n.partition and o.next_offset = n.after"""
_LEDGER = """
with n as (
  select * from unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
    n(department, source, minute, received, on_time, late, duplicate, conflict, quarantined)
), m as (
  insert into ledger_1m as l (department, source, minute, received, on_time, late, duplicate, conflict, quarantined)
  select department, source, to_timestamp(minute * 60), received, on_time, late, duplicate, conflict, quarantined from n
  order by minute, department, source
  on conflict (minute, department, source) do update set received = l.received + excluded.received, on_time = l.on_time + excluded.on_time,
    late = l.late + excluded.late, duplicate = l.duplicate + excluded.duplicate, conflict = l.conflict + excluded.conflict,
    quarantined = l.quarantined + excluded.quarantined
)
insert into ledger as l (department, source, hour, received, on_time, late, duplicate, conflict, quarantined)
select department, source, to_timestamp(minute / 60 * 3600), sum(received), sum(on_time), sum(late), sum(duplicate), sum(conflict), sum(quarantined)
from n group by 1, 2, 3 order by 3, 1, 2
on conflict (hour, department, source) do update set received = l.received + excluded.received, on_time = l.on_time + excluded.on_time,
  late = l.late + excluded.late, duplicate = l.duplicate + excluded.duplicate, conflict = l.conflict + excluded.conflict,
  quarantined = l.quarantined + excluded.quarantined"""
_HEARD = """
with n as (
  select *, clock_timestamp() as at
  from unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]) n(department, source, minute, known_at, watermark)
), m as (
  insert into heard_1m as h (department, source, minute, known_at, watermark, committed_at)
  select department, source, to_timestamp(minute * 60), known_at, watermark, at from n order by 1, 2, 3
  on conflict (department, source, minute) do update set known_at = greatest(h.known_at, excluded.known_at),
    watermark = greatest(h.watermark, excluded.watermark), committed_at = excluded.committed_at
)
insert into heard as h (department, source, known_at, watermark, committed_at)
select department, source, max(known_at), max(watermark), max(at) from n group by 1, 2 order by 1, 2
on conflict (department, source) do update set known_at = greatest(h.known_at, excluded.known_at),
  watermark = greatest(h.watermark, excluded.watermark), committed_at = excluded.committed_at"""
_ASKED = """
with n as (
  select department, source, date_trunc('minute', at) as minute, max(at) filter (where answered) as asked_at, max(at) filter (where not answered) as failed_at,
    max(every_seconds) as every_seconds, max(news_at) as news_at
  from unnest(%s::text[], %s::text[], %s::timestamptz[], %s::float8[], %s::bool[], %s::timestamptz[])
    n(department, source, at, every_seconds, answered, news_at) group by 1, 2, 3
), m as (
  insert into asked_1m as a (department, source, minute, asked_at, failed_at, every_seconds, news_at)
  select department, source, minute, asked_at, failed_at, every_seconds, news_at from n order by 1, 2, 3
  on conflict (department, source, minute) do update set asked_at = greatest(a.asked_at, excluded.asked_at),
    failed_at = greatest(a.failed_at, excluded.failed_at), every_seconds = excluded.every_seconds, news_at = greatest(a.news_at, excluded.news_at)
)
insert into asked as a (department, source, asked_at, failed_at, every_seconds, news_at)
select department, source, max(asked_at), max(failed_at), max(every_seconds), max(news_at) from n group by 1, 2 order by 1, 2
on conflict (department, source) do update set asked_at = greatest(a.asked_at, excluded.asked_at),
  failed_at = greatest(a.failed_at, excluded.failed_at), every_seconds = excluded.every_seconds, news_at = greatest(a.news_at, excluded.news_at)"""
_FUSES = """
insert into fuse as f (department, source, blown_at, reset_at)
select department, source, max(at) filter (where blown), max(at) filter (where not blown)
from unnest(%s::text[], %s::text[], %s::timestamptz[], %s::bool[]) n(department, source, at, blown) group by 1, 2 order by 1, 2
on conflict (department, source) do update set blown_at = greatest(f.blown_at, excluded.blown_at), reset_at = greatest(f.reset_at, excluded.reset_at)"""
_QUARANTINE = """
insert into quarantine (id, department, source, known_at, cause, wrong, sealed, size_bytes)
select * from unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::int[]) n
order by 1 on conflict (id) do nothing returning id"""
_CONFLICT = """
with n as (
  select *, row_number() over (partition by department, id, body order by known_at) as nth
  from unnest(%s::text[], %s::uuid[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[]) n(department, id, body, source, known_at, event)
), kept as (
  insert into conflict select department, id, body, source, known_at, event from n where nth = 1 order by 1, 2, 3
  on conflict do nothing returning department, id, body
)
insert into repeat (department, id, rejected, source, known_at, body)
select n.department, n.id, false, n.source, n.known_at, n.body from n left join kept k using (department, id, body) where nth > 1 or k.id is null"""
_REPEAT = """
insert into repeat (department, id, rejected, source, known_at)
select * from unnest(%s::text[], %s::uuid[], %s::bool[], %s::text[], %s::timestamptz[]) n"""


class Timescale(Session):
    """A `streams.store.Store` over one connection of the ingest role; it connects again by itself."""

    def __init__(self, dsn: str, space: str, keys: Keys) -> None:
        super().__init__(dsn, space, "ioc-ingest")
        self._preparer = Preparer(keys)

    def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Where each partition stands; those never seen begin at 0."""
        with self._reaching(), self._connected().transaction():
            connection = self._connected()
            for p in partitions:
                connection.execute(
                    "insert into stream_offset (topic_id, partition, topic, next_offset) values (%s, %s, %s, 0) on conflict do nothing",
                    [p.topic_id, p.number, p.name],
                )
            rows = connection.execute(
                "select topic_id::text, partition, next_offset from stream_offset where topic_id = any(%s::uuid[])",
                [[p.topic_id for p in partitions]],
            ).fetchall()
        held = {(topic_id.replace("-", ""), number): next_offset for topic_id, number, next_offset in rows}
        return {p: held[p.topic_id.replace("-", ""), p.number] for p in partitions}

    def prepare(self, records: Sequence[Records]) -> Batch:
        """The batch, decoded and encoded; needs no connection, so it may run while another batch is being written."""
        return self._preparer.prepare(records)

    def write(self, prepared: Batch) -> Sequence[Touched]:
        """One transaction; what it touched."""
        with self._reaching(), self._connected().transaction():
            connection = self._connected()
            self._guard(connection, prepared)
            alias.keep(connection, prepared.aka)
            prepared = self._renamed(connection, prepared)
            counts = prepared.counts()
            for part in prepared.parts.values():
                if part.rows:
                    self._write_part(connection, part, counts)
            repeats = self._write_rejects(connection, prepared, counts)
            repeats += [repeat for part in prepared.parts.values() for repeat in part.repeats]
            if repeats:
                again = [(*repeat[:-1], moment(repeat.known_at_us)) for repeat in repeats]
                connection.execute(_REPEAT, [*map(list, zip(*again, strict=True))])
            self._write_conflicts(connection, prepared)
            connection.execute(_LEDGER, counts.columns())
            if prepared.heard:
                keys, last = zip(*sorted(prepared.heard.items()), strict=True)
                known, seen = zip(*last, strict=True)
                departments, sources, minutes = map(list, zip(*keys, strict=True))
                connection.execute(_HEARD, [departments, sources, minutes, [*map(moment, known)], [*map(moment, seen)]])
            if prepared.asked:
                told = [
                    (a.department, a.source, moment(a.at_us), a.every_seconds, a.answered, moment(a.news_us) if a.news_us else None)
                    for a in prepared.asked
                ]
                connection.execute(_ASKED, [*map(list, zip(*told, strict=True))])
            if prepared.fuses:
                said = [(f.department, f.source, moment(f.at_us), f.blown) for f in prepared.fuses]
                connection.execute(_FUSES, [*map(list, zip(*said, strict=True))])
            arrived = {(department, minute * MINUTE_US) for department, _, minute in counts.rows} | {
                (a.department, a.at_us) for a in prepared.asked
            }
            owe(connection, [department for department, _ in arrived], [moment(at_us) for _, at_us in arrived])
        silent = {a.department for a in prepared.asked if not a.answered}
        return [Touched(space=self._space, department=name, stage="asked") for name in sorted(silent)] + [
            Touched(space=self._space, department=p.department.name, stage="events", hours=tuple(p.hours), watermark_us=max(p.times_us))
            for p in prepared.parts.values()
            if p.rows
        ]

    def _guard(self, connection: Connection, batch: Batch) -> None:
        moves = sorted(batch.offsets, key=lambda r: (r.partition.topic_id, r.partition.number))
        columns = [
            [r.partition.topic_id for r in moves],
            [r.partition.number for r in moves],
            [r.after for r in moves],
            [r.next for r in moves],
        ]
        if connection.execute(_GUARD, columns).rowcount != len(moves):
            raise Fenced

    def _renamed(self, connection: Connection, batch: Batch) -> Batch:
        """The batch, in which whoever has an older name is called by it."""
        known = alias.older(connection, (value.partition(AKA)[0] for group in batch.offsets for value in group.values))
        if not known:
            return batch
        return self._preparer.prepare([group._replace(values=[renamed(value, known) for value in group.values]) for group in batch.offsets])

    def _write_part(self, connection: Connection, part: Part, counts: Counts) -> None:
        name = part.department.name
        self._ensure_temporary(connection, name)
        copied(connection, f"new_{name}", copy.block(part.identities))
        known = connection.execute(
            sql.SQL(
                "with fresh as (insert into {identity} select id, body, event_time from {new} order by id on conflict (id) do nothing returning id) "
                "select uuid_send(n.id) from {new} n left join fresh f on f.id = n.id where f.id is null"
            ).format(identity=sql.Identifier(f"{name}_identity"), new=sql.Identifier(f"new_{name}")),
            binary=True,
        ).fetchall()
        if known:
            bodies = connection.execute(
                sql.SQL("select uuid_send(id), int8send(body) from {} where id = any(%s::uuid[])").format(
                    sql.Identifier(f"{name}_identity")
                ),
                [[id.hex() for (id,) in known]],
                binary=True,
            ).fetchall()
            part.strike({copy.sized(id): copy.sized(body) for id, body in bodies}, counts)
        rows = part.rows
        if not rows:
            return
        batch = stored(connection, part.department, rows.values(), part.times_us)
        connection.execute("insert into owed (department, batch) values (%s, %s)", [name, batch])

    def _write_rejects(self, connection: Connection, batch: Batch, counts: Counts) -> list[Repeat]:
        """Into quarantine; those that were there."""
        if not batch.rejects:
            return []
        rejects = {r.id: r for r in reversed(batch.rejects)}
        chosen = [*rejects.values()]
        fresh = connection.execute(
            _QUARANTINE,
            [
                [r.id for r in chosen], [r.department for r in chosen], [r.source for r in chosen], [moment(r.known_at_us) for r in chosen],
                [r.cause for r in chosen], [r.wrong for r in chosen], [r.sealed for r in chosen], [r.size_bytes for r in chosen],
            ],
        ).fetchall()  # fmt: skip
        new = {row[0].hex for row in fresh}
        repeats = []
        for reject in batch.rejects:
            outcome = "quarantined" if reject.id in new else "duplicate"
            counts.add(reject.department, reject.source, reject.known_at_us // MINUTE_US, outcome)
            if reject.id not in new:
                repeats.append(Repeat(reject.department, reject.id, True, reject.source, reject.known_at_us))
            new.discard(reject.id)
        return repeats

    def _write_conflicts(self, connection: Connection, batch: Batch) -> None:
        found = [(part.department.name, c) for part in batch.parts.values() for c in part.conflicts]
        if found:
            connection.execute(
                _CONFLICT,
                [
                    [d for d, _ in found], [c.id for _, c in found], [c.body for _, c in found], [c.source for _, c in found],
                    [moment(c.known_at_us) for _, c in found], [c.value.decode() for _, c in found],
                ],
            )  # fmt: skip

    def _ensure_temporary(self, connection: Connection, name: str) -> None:
        if name not in self._temporary:
            connection.execute(
                sql.SQL(
                    "create temporary table if not exists {} (id uuid, body bigint, event_time timestamptz) on commit delete rows"
                ).format(sql.Identifier(f"new_{name}"))
            )
            self._temporary.add(name)


def stored(connection: Connection, department: Department, rows: Collection[bytes], times_us: Collection[int]) -> int:
    """Put events into their table as one batch; its number. rows: encoded, as `encode_of` has them; times_us: their event times."""
    found = connection.execute(
        "insert into batch (department, events, first_time, last_time) values (%s, %s, %s, %s) returning batch",
        [department.name, len(rows), moment(min(times_us)), moment(max(times_us))],
    ).fetchone()
    assert found is not None  # noqa: S101  # an insert returns its row
    batch: int = found[0]
    ending = copy.bigint(batch)  # the last column, the same in every row
    data = b"".join((copy.HEADER, ending.join(rows), ending, copy.TRAILER))
    copied(connection, f"{department.name}_event", data, [*(column.name for column in columns(department.event)), "batch"])
    return batch
