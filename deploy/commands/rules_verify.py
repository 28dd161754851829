"""`ioc rules verify`: live firings against a backtest of the same minutes."""

from typing import Annotated, Any

import typer

from deploy import console
from deploy.console import Json
from sinks import proof
from sinks.roles import ingest_dsn
from streams import settings
from streams.event import moment
from streams.rules.firing import Span


def register(rules: typer.Typer) -> None:
    """Add the command to `ioc rules`."""
    rules.command("verify")(verify)


def verify(
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="From then on (default: where each version began).")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to then (default: as far as it is decided).")] = None,
    as_json: Json = False,
) -> None:
    """Decide every rule's minutes again from what is known now, and compare with what was decided live. Exit 1 with the first difference.

    Late events are decided again within seconds; those that came more than 35 days late are not, and show here.
    """
    chosen = settings.load()
    first_minute, last_minute = (int(at.timestamp()) // 60 if (at := console.at(text)) else None for text in (since, until))
    found = proof.prove(ingest_dsn(chosen), chosen.space, first_minute, last_minute)
    first = found.differences[0] if found.differences else None
    answer: dict[str, Any] = {
        "equal": first is None,
        "rules": found.rules,
        "firings": found.spans,
        "differences": len(found.differences),
        "first_difference": first and {"rule": first.rule, "only": "live" if first.live else "backtest", **_shown(first.span)},
    }
    console.result(
        answer, as_json, lambda: console.say(f"{found.rules} rules, {found.spans} firings, {len(found.differences)} differences")
    )
    if first is not None:
        where = f"{first.rule}{f' of {first.span.group}' if first.span.group else ''}, from {_shown(first.span)['from']}"
        raise console.No(
            f"only {'live' if first.live else 'the backtest'} has a firing of {where}",
            "keep the database as it is and report this",
        )


def _shown(span: Span) -> dict[str, Any]:
    since, until = moment(span.since * 60_000_000), None if span.until is None else moment(span.until * 60_000_000)
    return {
        "group": span.group,
        "inhibited": span.inhibited,
        "from": since.isoformat(),
        "to": until and until.isoformat(),
        "peak": span.peak,
    }
