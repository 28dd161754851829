"""Files the browser gets: our own modules in static/, and uPlot, d3-delaunay and the typeface that npm brings (package-lock.json)."""

import hashlib
from pathlib import Path

HERE = Path(__file__).parent
STATIC = HERE / "static"
MODULES = HERE / "node_modules"
VENDOR = {
    "uplot.js": MODULES / "uplot/dist/uPlot.esm.js",
    "d3-delaunay.js": MODULES / "d3-delaunay/dist/d3-delaunay.min.js",
    "uplot.css": MODULES / "uplot/dist/uPlot.min.css",
}
FONT = MODULES / "@fontsource/be-vietnam-pro/files"


def missing() -> bool:
    """Whether npm's part is not there yet."""
    return not (FONT.is_dir() and all(path.is_file() for path in VENDOR.values()))


def version() -> str:
    """Changes with whatever a screen is sent: pages, modules, boards, packages, and the code that fills them."""
    found = hashlib.sha256()
    boards = HERE.parent / "boards"
    for path in sorted([*STATIC.rglob("*"), *boards.glob("*.json"), *HERE.glob("*.py"), *HERE.glob("package*.json")]):
        if path.is_file():
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]
