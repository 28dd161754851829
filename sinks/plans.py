"""Plans: what is planned for a year of a department's figure, so that the boards can say how much of it is reached."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from sinks.migrations import schema
from streams.department import department
from streams.errors import Misconfigured
from streams.figures import Sum


class Plan(NamedTuple):
    """value: in the figure's own unit (đồng, minutes, pieces)."""

    department: str
    figure: str
    year: int
    value: int


def read(path: Path) -> list[Plan]:
    """The plans of a CSV with the columns department, figure, year, value. Raises Misconfigured, naming the line that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [*_rows(csv.DictReader(file), path)]
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({type(error).__name__})", "give a UTF-8 CSV") from error


def _rows(rows: Iterable[dict[str, str]], path: Path) -> Iterator[Plan]:
    for line, row in enumerate(rows, 2):
        try:
            plan = Plan(row["department"].strip(), row["figure"].strip(), int(row["year"]), int(row["value"]))
            adds_up = isinstance(department(plan.department).glass.figure(plan.figure).measured, Sum)
        except (KeyError, ValueError, TypeError, AttributeError, Misconfigured) as error:
            raise Misconfigured(
                f"{path}, line {line} is no plan", "give the columns department,figure,year,value as `ioc figures` names them"
            ) from error
        if not adds_up or not 2000 <= plan.year <= 2200 or plan.value <= 0:
            raise Misconfigured(f"{path}, line {line} plans what cannot be: {plan}", "plan a sum of a year, more than 0")
        yield plan


def load(connection: psycopg.Connection[Any], space: str, plans: Iterable[Plan]) -> int:
    """Write these plans, over those of the same figure and year; how many."""
    given = sorted(plans)
    query = "insert into {} values (%s, %s, %s, %s) on conflict (department, figure, year) do update set value = excluded.value"
    with connection.cursor() as cursor:
        cursor.executemany(sql.SQL(query).format(sql.Identifier(schema(space), "plan")), given)
    return len(given)
