"""Boards of places: the map of the province, and a drill-down board for each kind of unit that a department has."""

from grafana import sql
from grafana.board import ACCENT, UNKNOWN, days, drill, listing, tile, trend
from grafana.layout import SOURCE, Board, Panel, Query, widths
from streams.figures import Figure, Glass, Sum

PERIODS = (("hôm nay", "now/d", "now/d"), ("hôm qua", "now-1d/d", "now-1d/d"), ("hôm kia", "now-2d/d", "now-2d/d"))
_UNSEEN = {"color": {"fixed": "transparent"}, "opacity": 0, "lineWidth": 0}
_BASE = {"type": "geojson", "name": "nền", "config": {"src": "public/maps/countries.geojson", "rules": [], "style": _UNSEEN}}
"""The map below: one of the files that come with Grafana, so that nobody outside is asked."""


def province(cells: Glass, cell: Figure, points: Glass, point: Figure) -> Panel:
    """The map: units of one department as cells shaded by a figure, those of another as points; each leads to its drill-down board."""
    targets = [Query(sql.on_the_map(cells, cell), "table", "A"), Query(sql.on_the_map(points, point), "table", "B")]
    layers = [_layer(cells.places, "A", cell.label, 7, ACCENT), _layer(points.places, "B", point.label, 5, "#ffffff")]
    overrides = [
        {
            "matcher": {"id": "byFrameRefID", "options": ref},
            "properties": [{"id": "links", "value": [drill(glass.place_kind)]}, *_said(figure)],
        }
        for ref, glass, figure in (("A", cells, cell), ("B", points, point))
    ]
    return {
        "type": "geomap",
        "title": f"{cell.topic} theo {cells.places}, và các {points.places}",
        "description": cell.definition,
        "datasource": SOURCE,
        "targets": [target.build().to_json() for target in targets],
        "fieldConfig": {"defaults": {"color": {"mode": "continuous-BlPu"}, "noValue": UNKNOWN}, "overrides": overrides},
        "options": {
            "view": {"id": "fit", "lat": 0, "lon": 0, "zoom": 9, "allLayers": True, "padding": 5},
            "basemap": _BASE,
            "layers": layers,
            "controls": {"showZoom": True, "mouseWheelZoom": False, "showAttribution": False, "showScale": False, "showMeasure": False},
            "tooltip": {"mode": "details"},
            "ioc": {"department": cells.name, "figure": cell.name, "form": "map", "cells": "A", "points": "B", "heard": points.name},
        },
    }


def _said(figure: Figure) -> list[dict[str, object]]:
    return [{"id": "unit", "value": f"currency:financial: {figure.word}:suffix"}, {"id": "decimals", "value": 0}]


def _layer(name: str, ref: str, field: str, size: int, fixed: str) -> dict[str, object]:
    """Markers at latitude and longitude of the query `ref`, shaded by `field` where a shade has a meaning."""
    shade = {"field": field, "fixed": fixed} if ref == "A" else {"fixed": fixed}
    style = {
        "color": shade,
        "opacity": 0.8,
        "size": {"fixed": size, "min": 2, "max": 15},
        "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
        "symbolAlign": {"horizontal": "center", "vertical": "center"},
    }
    return {
        "type": "markers",
        "name": name,
        "filterData": {"id": "byRefId", "options": ref},
        "location": {"mode": "coords", "latitude": "latitude", "longitude": "longitude"},
        "config": {"showLegend": False, "style": style},
        "tooltip": True,
    }


def _added(glass: Glass) -> list[Figure]:
    """The figures that a unit has of its own: those that add up by unit."""
    return [figure for figure in glass.figures if isinstance(figure.measured, Sum)]


def summary(glass: Glass) -> Panel:
    """A row per figure of the chosen unit: today, the day before, the same weekday, the month."""
    whole = {"unit": "locale", "decimals": 0}
    words = (sql.ON_THE_DAY, sql.THE_DAY_BEFORE, sql.A_WEEK_BEFORE, sql.OF_THE_MONTH)
    return listing(
        f"{glass.label}, so các ngày",
        sql.compared(glass, tuple(_added(glass)), sql.HERE),
        dict.fromkeys(words, whole),
        department=glass.name,
    )


def unit_board(kind: str, glasses: tuple[Glass, ...]) -> Board:
    """What is known of one unit: of each department that has units of this kind its figures, its day and its month."""
    places = glasses[0].places[0].upper() + glasses[0].places[1:]
    board = Board(f"ioc-{kind}", places, ("ioc", places), PERIODS)
    board.choice("unit", places, sql.units(kind))
    shown = [(glass, figure) for glass in glasses for figure in _headline(glass, 4 // min(len(glasses), 4))][:5]
    shown += [(glass, share) for glass in glasses for share in glass.shares[:1]]
    board.row(7, *((width, tile(g, f, where=sql.HERE)) for width, (g, f) in zip(widths(len(shown)), shown, strict=True)))
    for glass in glasses:
        main = glass.figure(glass.trend)
        board.row(9, (8, trend(glass, main, sql.HERE)), (6, days(glass, main, where=sql.HERE)), (10, summary(glass)))
    return board


def _headline(glass: Glass, most: int) -> list[Figure]:
    """The figures of its large tiles that a unit has; they are drawn through the day or over fourteen days."""
    own = {figure.name for figure in _added(glass)}
    return [glass.figure(name) for name in glass.headline if name in own][: max(1, most)]


def boards(glasses: tuple[Glass, ...]) -> list[Board]:
    """A drill-down board per kind of unit, in the order of the departments on the glass."""
    kinds = dict.fromkeys(glass.place_kind for glass in glasses)
    return [unit_board(kind, tuple(glass for glass in glasses if glass.place_kind == kind)) for kind in kinds]
