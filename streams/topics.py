"""Names of the Kafka topics of a space."""

LIVE = "live"
MESSAGE_MOST_BYTES = 8 * 1024 * 1024  # a summary table of 2 MB of XML becomes 1.5 MB of JSON, a sealed reject a third more than it was


def topic(name: str, space: str = LIVE) -> str:
    """`ioc.einvoice` in live, `ioc.drill-01.einvoice` in the space drill-01. Other names: rejects, asked, touched, cursors."""
    return f"ioc.{name}" if space == LIVE else f"ioc.{space}.{name}"
