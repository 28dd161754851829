"""Grafana's foundation SDK, imported in one place: its classic dashboard warns on import, and classic is what Grafana 12 and the wall read."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import bargauge, common, dashboard, stat, statetimeline, table, text, timeseries
    from grafana_foundation_sdk.cog import builder, variants
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common as common_model
    from grafana_foundation_sdk.models import dashboard as model
    from grafana_foundation_sdk.models import text as text_model

__all__ = [
    "JSONEncoder",
    "bargauge",
    "builder",
    "common",
    "common_model",
    "dashboard",
    "model",
    "stat",
    "statetimeline",
    "table",
    "text",
    "text_model",
    "timeseries",
    "variants",
]
