"""What the wall's server counts; shown at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

_MS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

VIEWERS = Gauge("ioc_wall_viewers", "Screens connected now", ["board"])
DROPPED = Counter("ioc_wall_dropped_total", "Screens told to reconnect because they read too slowly")
WAVES = Counter("ioc_wall_waves_total", "Waves of queries", ["cause"])
WAVE_SECONDS = Histogram("ioc_wall_wave_seconds", "Time of one wave, all panels of all boards in view", buckets=_MS)
QUERY_SECONDS = Histogram("ioc_wall_query_seconds", "Time of one panel query", buckets=_MS)
FAILED = Counter("ioc_wall_query_failures_total", "Panel queries that failed")
TOUCHES = Counter("ioc_wall_touches_total", "Wake-ups read from Kafka")
