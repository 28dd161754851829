"""Every metric of the house, declared in one place (Prometheus); none of them carries anything a record says."""

from prometheus_client import Counter, Gauge, Histogram

PULLED = Counter("ioc_pulled_records", "Raw records received from a source.", ["source"])
PRODUCED = Counter("ioc_produced_events", "Events that Kafka has acknowledged.", ["source"])
REJECTED = Counter("ioc_rejected_records", "Records sent to quarantine.", ["source", "cause"])
FUSE_BLOWN = Gauge("ioc_fuse_blown", "1 while a source is stopped because too many of its records were rejected.", ["source"])
SOURCE_AWAY = Gauge("ioc_source_away", "1 while a source, or Kafka on its behalf, cannot be reached.", ["source"])
SOURCE_READ = Gauge("ioc_source_read_timestamp_seconds", "When a source was last read to its end, seconds since 1970.", ["source"])
CURSOR_LAG = Gauge("ioc_unacknowledged_pages", "Pages read from a source and not yet acknowledged by Kafka.", ["source"])
WEBHOOK_ANSWERS = Counter("ioc_webhook_answers", "Answers given to senders, by what was said.", ["source", "said"])
WEBHOOK_SECONDS = Gauge("ioc_webhook_last_seconds", "Time the last notice waited for Kafka's acknowledgement, seconds.", ["source"])

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
WALL_VIEWERS = Gauge("ioc_wall_viewers", "Screens connected now.", ["board"])
WALL_DROPPED = Counter("ioc_wall_dropped", "Screens told to reconnect because they read too slowly.")
WALL_WAVES = Counter("ioc_wall_waves", "Waves of queries.", ["cause"])
WALL_WAVE_SECONDS = Histogram("ioc_wall_wave_seconds", "Time of one wave: all panels of all boards in view.", buckets=_SECONDS)
WALL_QUERY_SECONDS = Histogram("ioc_wall_query_seconds", "Time of one panel query.", buckets=_SECONDS)
WALL_QUERY_FAILURES = Counter("ioc_wall_query_failures", "Panel queries that failed.")
WALL_REFUSED = Counter("ioc_wall_refused", "Requests refused at the door, by what was wrong.", ["why"])
WALL_LOGINS = Counter("ioc_wall_logins", "Attempts to log in by a link.", ["said"])
WALL_SCREENS = Gauge("ioc_wall_screens", "Screens that reported within a day: alive ones, and those fallen silent.", ["state"])
WALL_SCREENS_WRONG = Gauge("ioc_wall_screens_with_errors", "Screens alive that show an error.")
WALL_SCREEN_LAG = Gauge("ioc_wall_screen_lag_seconds", "Age of what the slowest living screen had drawn when it reported.")
WALL_TOUCHES = Counter("ioc_wall_touches", "Wake-ups read from Kafka.")
