"""What the benchmark says: figures with their runs, medians, ratios and bars; a table for people, bench.json for scripts."""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One figure: its median over the runs. bar: what it has to reach (or, for `at most`, stay below); None where there is none."""

    figure: str
    value: float
    unit: str
    runs: tuple[float, ...]
    bar: float | None = None
    met: bool | None = None


def median(name: str, unit: str, runs: Sequence[float], *, at_least: float | None = None, below: float | None = None) -> Figure:
    """A figure of several runs, with the bar it has to meet."""
    value = statistics.median(runs)
    met = None
    if at_least is not None:
        met = value >= at_least
    elif below is not None:
        met = value < below
    return Figure(name, _short(value), unit, tuple(map(_short, runs)), at_least if at_least is not None else below, met)


def ratio(name: str, over: Figure, under: Figure, at_least: float | None = None) -> Figure:
    """The ratio of two medians; its runs are the ratios run by run."""
    value = over.value / under.value
    runs = tuple(_short(a / b) for a, b in zip(over.runs, under.runs, strict=False))
    return Figure(name, _short(value), "x", runs, at_least, None if at_least is None else value >= at_least)


def show(figures: Sequence[Figure], title: str) -> None:
    """The table, on stderr."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, side in (("figure", "left"), ("median", "right"), ("unit", "left"), ("least", "right"), ("most", "right"), ("bar", "right")):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
    for f in figures:
        bar = "" if f.bar is None else f"{f.bar:g} [green]met[/green]" if f.met else f"{f.bar:g} [red]not met[/red]"
        spread = [_said(min(f.runs)), _said(max(f.runs))] if len(f.runs) > 1 else ["", ""]
        table.add_row(f.figure, _said(f.value), f.unit, *spread, bar)
    Console(stderr=True, width=None if sys.stderr.isatty() else 120).print(table)


def write(figures: Sequence[Figure], path: Path) -> None:
    """bench.json as doors.md promises it."""
    path.write_text(json.dumps([asdict(f) for f in figures], indent=1) + "\n")


def _said(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _short(value: float) -> float:
    return float(f"{value:.4g}")
