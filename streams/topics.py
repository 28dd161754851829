"""Names of the Kafka topics of a space."""

LIVE = "live"


def topic(name: str, space: str = LIVE) -> str:
    """`ioc.einvoice` in live, `ioc.drill-01.einvoice` in the space drill-01. Other names: rejects, touched, cursors."""
    return f"ioc.{name}" if space == LIVE else f"ioc.{space}.{name}"
