"""Files the browser gets: our own modules in static/, and uPlot, d3-delaunay and the typeface that npm brings (package-lock.json)."""

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
