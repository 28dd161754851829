-- {board}'s freshness at a moment, found by index: the histories of sources by minute grow for ever and must not be read whole.
create index heard_1m_watermark on heard_1m (department, source, watermark desc, minute);
create index asked_1m_answered on asked_1m (department, source, minute desc) where asked_at is not null;
create index asked_1m_failed on asked_1m (department, source, minute desc) where failed_at is not null;
create index asked_1m_news on asked_1m (department, source, minute desc) where news_at is not null;

create or replace view {board_at}.freshness as
  select s.department, s.source, h.known_at, w.watermark, h.committed_at, greatest(h.known_at, a.asked_at) as heard_at, a.asked_at, f.failed_at, e.every_seconds,
    coalesce(f.failed_at <= greatest(h.known_at, a.asked_at) + interval '3 seconds', true) as answers,
    case when a.asked_at is not null then greatest(8.5, 3 * e.every_seconds) * interval '1 second' end as speaks_within,
    case when n.news_at is null or n.news_at <= h.known_at then a.asked_at end as whole_at
  from {space}.heard s
  cross join lateral (select known_at, committed_at from {space}.heard_1m m
    where m.department = s.department and m.source = s.source and minute < {board_at}.now() order by minute desc limit 1) h
  cross join lateral (select watermark from {space}.heard_1m m
    where m.department = s.department and m.source = s.source and minute < {board_at}.now() order by watermark desc limit 1) w
  left join lateral (select asked_at from {space}.asked_1m m
    where m.department = s.department and m.source = s.source and minute < {board_at}.now() and asked_at is not null order by minute desc limit 1) a on true
  left join lateral (select failed_at from {space}.asked_1m m
    where m.department = s.department and m.source = s.source and minute < {board_at}.now() and failed_at is not null order by minute desc limit 1) f on true
  left join lateral (select every_seconds from {space}.asked_1m m
    where m.department = s.department and m.source = s.source and minute < {board_at}.now() order by minute desc limit 1) e on true
  left join lateral (select news_at from {space}.asked_1m m
    where m.department = s.department and m.source = s.source and minute < {board_at}.now() and news_at is not null order by minute desc limit 1) n on true;
