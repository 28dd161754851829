"""What follows from the two times of a rollup: views of what a figure is made of, and the boards' views as of a moment."""

from psycopg import sql

from sinks.derive import columns, view
from streams.department import Department

_DAY = sql.SQL("(minute at time zone 'Asia/Ho_Chi_Minh')::date")
_SLOT = sql.SQL("date_bin('10 minutes', minute, timestamptz '2020-01-01Z')")
_NOTHING = sql.SQL(" or exists (select from {minutes} m where {of_minute} = d.{first} and {same} and m.known < {at})")
_BEFORE = sql.SQL("day < ({} at time zone 'Asia/Ho_Chi_Minh')::date")


def tables(department: Department) -> list[sql.Composed]:
    """Members a day in two times, the order in which a figure's subjects are listed, and a way to what became known lately."""
    d, counting = department.name, f"{department.name}_{next(iter(department.life.states))}"
    out = []
    if department.members:
        out += [
            sql.SQL(
                "create table {} (day date not null, member uuid not null, known timestamptz not null, n bigint not null, "
                "primary key (day, member, known)) with (fillfactor = 80)"
            ).format(sql.Identifier(f"{d}_member_1d")),
            # What was counted before this table was made has no second time: it is known since its own minute.
            sql.SQL("insert into {} select {}, member, min(minute), count(*) from {} where member is not null group by 1, 2").format(
                sql.Identifier(f"{d}_member_1d"), _DAY, sql.Identifier(counting)
            ),
            sql.SQL("drop index {}").format(sql.Identifier(f"{counting}_minute")),
        ]
    listed = sql.SQL("create index {} on {} (minute, key) where minute is not null")
    out.append(listed.format(sql.Identifier(f"{counting}_listed"), sql.Identifier(counting)))
    for table in [f"{d}_1m", *([f"{d}_{department.histogram}_1m"] if department.histogram else [])]:
        out.append(sql.SQL("create index {} on {} using brin (known)").format(sql.Identifier(f"{table}_known"), sql.Identifier(table)))
    return out


def moments(department: Department) -> list[sql.Composed]:
    """A way to the minutes of a day or a slot for those who ask by them, as the boards do of the past; ranges of blocks, so that it costs
    those who write next to nothing."""
    table = f"{department.name}_1m"
    made = sql.SQL("create index {} on {} using brin (minute, ({}), ({})) with (pages_per_range = 16)")
    return [made.format(sql.Identifier(f"{table}_when"), sql.Identifier(table), _DAY, _SLOT)]


def arrivals(department: Department) -> list[sql.Composed]:
    """A way to the events that arrived in a stretch of time, for replays: arrivals lie together, so ranges of blocks suffice."""
    made = sql.SQL("create index {} on {} using brin (known_at) with (pages_per_range = 16, autosummarize = on)")
    return [made.format(sql.Identifier(f"{department.name}_event_arrived"), sql.Identifier(f"{department.name}_event"))]


def views(department: Department, space: str, board: str, board_at: str) -> list[sql.Composed]:
    """The views of `board` that explain figures, and those of `board_at` that show them as of a moment."""
    d, histogram = department.name, f"{department.histogram}_1m"
    known = sql.SQL("known < {}()").format(sql.Identifier(board_at, "now"))
    measures = sql.SQL(", ").join(sql.Identifier(m) for m in department.measures)
    minutes = sql.SQL("select minute, known, unit, kind, {} from {} where {}").format(measures, sql.Identifier(board, f"{d}_1m"), known)
    out = [
        *_explaining(department, space, board),
        view(board_at, f"{d}_1m", minutes),
        view(board_at, f"{d}_1d", _then(department, board, board_at, f"{d}_1d", "day unit kind", _DAY, _BEFORE)),
        view(board_at, f"{d}_10m", _then(department, board, board_at, f"{d}_10m", "slot unit", _SLOT, sql.SQL("slot < {}"))),
    ]
    if department.histogram:
        spread = sql.SQL("select minute, known, unit, kind, bound, n from {} where {}").format(sql.Identifier(board, histogram), known)
        out.append(view(board_at, histogram, spread))
    if department.members:
        body = sql.SQL(
            "select day, count(*) as {} from (select day, member from {} where {} group by 1, 2 having sum(n) > 0) m group by day"
        )
        name, table = sql.Identifier(department.distinct), sql.Identifier(space, f"{d}_member_1d")
        out.append(view(board, f"{d}_{department.distinct}", body.format(name, table, sql.SQL("true")), replace=True))
        out.append(view(board_at, f"{d}_{department.distinct}", body.format(name, table, known)))
    return out


def withdrawn(department: Department, board: str, board_at: str) -> list[sql.Composed]:
    """The same views of days and slots as `views` makes, with those rows too that come to nothing because what was counted there before the moment
    was taken back before it: the boards show 0 there then, as live did."""
    d = department.name
    return [
        view(board_at, f"{d}_1d", _then(department, board, board_at, f"{d}_1d", "day unit kind", _DAY, _BEFORE, _NOTHING), replace=True),
        view(
            board_at,
            f"{d}_10m",
            _then(department, board, board_at, f"{d}_10m", "slot unit", _SLOT, sql.SQL("slot < {}"), _NOTHING),
            replace=True,
        ),
    ]


def _explaining(department: Department, space: str, board: str) -> list[sql.Composed]:
    """`event`: all but nested facts, with the moment its figures followed (null: they are owed); `identity`; `counted`: the subjects that count."""
    d = department.name
    grown = {name for each in department.grown for name in each.fields}
    held = [c for c in columns(department.event) if c.kind not in ("json", "hash")]
    plain = sql.SQL(", ").join(sql.Identifier("e", c.name) for c in held if c.field not in grown)
    more = sql.SQL("").join(
        sql.SQL(", {}").format(sql.Identifier("e", c.name)) for c in held if c.field in grown
    )  # a view grows at its end
    event, batch, identity = (sql.Identifier(space, name) for name in (f"{d}_event", "batch", f"{d}_identity"))
    counted = sql.Identifier(space, f"{d}_{next(iter(department.life.states))}")
    place = sql.SQL("select minute, key, state, nullif(unit, '') as unit, kind, member from {} where minute is not null")
    return [
        view(
            board, f"{d}_event", sql.SQL("select {}, b.followed_at{} from {} e join {} b using (batch)").format(plain, more, event, batch)
        ),
        view(board, f"{d}_identity", sql.SQL("select id, event_time from {}").format(identity)),
        view(board, f"{d}_counted", place.format(counted)),
    ]


def _then(
    department: Department, board: str, board_at: str, table: str, keys: str, of_minute: sql.SQL, before: sql.SQL, nothing: sql.SQL = sql.SQL("")
) -> sql.Composed:  # fmt: skip
    """A rollup by `keys` (the first is made of minutes by `of_minute`). What lies `before` the moment's day: what it holds now without what
    became known since; the moment's day and later: from the minutes. nothing: which rows of nothing stay, beside those of that day."""
    minutes, first = sql.Identifier(board, f"{department.name}_1m"), sql.Identifier(keys.split()[0])
    same = sql.SQL(" and ").join(sql.SQL("m.{0} is not distinct from d.{0}").format(sql.Identifier(key)) for key in keys.split()[1:])
    at = sql.SQL("{}()").format(sql.Identifier(board_at, "now"))
    midnight = sql.SQL("date_trunc('day', {}, 'Asia/Ho_Chi_Minh')").format(at)
    names = [*map(sql.Identifier, department.measures)]
    rest = sql.SQL(", ").join(map(sql.Identifier, keys.split()[1:]))
    return sql.SQL(
        "select {first}, {rest}, {sums} from ("
        "select {first}, {rest}, {plus}, false as seen from {whole} where {before} "
        "union all select {of_minute}, {rest}, {minus}, false from {minutes} where known >= {at} and minute < {midnight} "
        "union all select {of_minute}, {rest}, {plus}, true from {minutes} where known < {at} and minute >= {midnight}"
        ") d group by {first}, {rest} having bool_or(seen) or {some}{nothing}"
    ).format(
        first=first, rest=rest, at=at, midnight=midnight, of_minute=of_minute, before=before.format(midnight),
        whole=sql.Identifier(board, table), minutes=minutes, nothing=nothing.format(minutes=minutes, of_minute=of_minute, first=first, same=same, at=at),
        plus=sql.SQL(", ").join(names), minus=sql.SQL(", ").join(sql.SQL("-{}").format(name) for name in names),
        sums=sql.SQL(", ").join(sql.SQL("sum({0})::bigint as {0}").format(name) for name in names),
        some=sql.SQL(" or ").join(sql.SQL("sum({}) <> 0").format(name) for name in names),
    )  # fmt: skip
