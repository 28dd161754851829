"""Pages as they are sent: as they lie there for live; stamped for a space, so that nobody can mistake it for live, with or without scripts."""

import re
from html import escape

from starlette.responses import FileResponse, HTMLResponse, Response

from grafana.wall import assets
from grafana.wall.clock import Clock

_BODY = re.compile("<body[^>]*>")
_FRESH = {"cache-control": "no-cache"}
_MARK = '<div id="mark" aria-hidden="true">' + "<span></span>" * 12 + "</div>"


def page(name: str, clock: Clock) -> Response:
    """One of our pages, for the space that the clock is of."""
    told = clock.told()
    if not told:
        return FileResponse(assets.STATIC / name, headers=_FRESH)
    return HTMLResponse(stamped((assets.STATIC / name).read_text(encoding="utf-8"), told["space"]), headers=_FRESH)


def stamped(text: str, space: dict[str, str | None]) -> str:
    """The page with the space in its title, a band over its head, the mark over all of it, and the styles of both."""
    name, label, scenario = (escape(space[key] or "") for key in ("name", "label", "scenario"))
    said = [f"<b>DIỄN TẬP</b><span>{name}</span>", f"<span>{label}</span>" if label else ""]
    said += [f'<span class="scenario">kịch bản: {scenario}</span>' if scenario else "", '<span id="replayed"></span>']
    band = f'<aside id="drill" aria-label="Diễn tập">{"".join(said)}<span class="ways"></span></aside>'
    styles = '<link rel="stylesheet" href="/static/space.css"><link rel="modulepreload" href="/static/space.js">'
    for before, after in (
        ("<html ", f'<html data-space="{name}" '),
        ("<title>", f"<title>DIỄN TẬP {name} · "),
        ("</head>", f"{styles}</head>"),
    ):
        text = text.replace(before, after, 1)
    return _BODY.sub(lambda body: f"{body[0]}{band}{_MARK}", text, count=1)
