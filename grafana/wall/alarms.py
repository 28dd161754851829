"""The list of alarms: what its queries read from the views of the schema `board`, the same now and as of a minute gone by."""
# ruff: noqa: S608 - the text is made of our own words only; viewers send ids, never SQL

EVALUATOR = "evaluator"
"""The beat of what decides the rules."""

UNITS = "(SELECT DISTINCT ON (code) code, name FROM unit_ever ORDER BY code, valid_from DESC)"

OPEN = f"""WITH fires AS (
  SELECT f.alarm, f.unit, f.since, f.peak, f.until IS NULL OR NOT bool_or(f.until IS NULL) OVER (PARTITION BY f.alarm) AS counts
  FROM firing f JOIN alarm a ON a.id = f.alarm WHERE a.closed_at IS NULL AND NOT f.inhibited
), told AS (
  SELECT alarm, min(since) AS since, count(DISTINCT f.unit) FILTER (WHERE counts) AS units,
    (array_agg(DISTINCT coalesce(u.name, f.unit)) FILTER (WHERE counts AND f.unit IS NOT NULL))[1:3] AS names,
    (array_agg(peak ORDER BY f.since, f.unit) FILTER (WHERE counts))[1] AS peak
  FROM fires f LEFT JOIN {UNITS} u ON u.code = f.unit GROUP BY 1
)
SELECT a.id, a.severity, a.title, coalesce(t.since, a.opened_at) AS since, array_to_string(t.names, ', ') AS names, coalesce(t.units, 0) AS units, t.peak,
  substring(r.body from 'measure:\\s*\\{{?\\s*([a-z]+)') AS measure, a.acknowledged_by, a.acknowledged_at, a.escalated_at,
  (SELECT max(s.until) FROM silence s WHERE coalesce(s.rule, a.rule) = a.rule AND s.unit IS NULL AND s.since <= now() AND s.until > now()) AS silent_until
FROM alarm a LEFT JOIN told t ON t.alarm = a.id LEFT JOIN rule r ON r.name = a.rule
WHERE a.closed_at IS NULL
ORDER BY CASE a.severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, a.acknowledged_at IS NOT NULL, 4 DESC, a.id LIMIT 100"""
"""A row per alarm that is open: the worst first, then those nobody acknowledged, then the newest. units: how many it fires for, names: of three
of them. peak: the farthest value, of the first of them. measure: the word of its rule's measure, which says what the value counts."""

WATCHED = f"""SELECT CASE WHEN r.n = 0 THEN 'none' WHEN b.at IS NULL THEN 'never' WHEN b.at < now() - interval '60 seconds' THEN 'stopped' ELSE 'runs' END AS watch,
  CASE WHEN b.at < now() - interval '60 seconds' THEN b.at END AS since
FROM (SELECT count(*) AS n FROM rule WHERE enabled) r LEFT JOIN beat b ON b.name = '{EVALUATOR}'"""
"""One row: whether there are rules, and whether they are being decided; since when not."""
