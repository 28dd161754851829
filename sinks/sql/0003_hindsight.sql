-- What a figure is made of, and how it looked at a moment. {board_at} has the views of {board}, as of the session's ioc.at (a whole minute).

-- Every unit that a seller was ever registered with: a message counts where its seller was registered when it was counted.
create table seller_was (seller uuid not null, unit text not null, loaded_at timestamptz not null, primary key (seller, loaded_at));
insert into seller_was select seller, unit, loaded_at from seller;

create view {board}.member_unit as select seller as member, unit, loaded_at from {space}.seller_was;
create view {board}.quarantined as select id, department, source, cause, known_at, size_bytes from {space}.quarantine;
create view {board}.conflict as select department, id, source, known_at from {space}.conflict;

-- The ledger and what each source last said, minute of arrival by minute: how both stood at a moment.
create table ledger_1m (
  department text not null, source text not null, minute timestamptz not null,
  received bigint not null, on_time bigint not null, late bigint not null, duplicate bigint not null,
  conflict bigint not null, quarantined bigint not null,
  primary key (minute, department, source)) with (fillfactor = 50);
create table heard_1m (
  department text not null, source text not null, minute timestamptz not null, known_at timestamptz not null, watermark timestamptz not null,
  committed_at timestamptz not null, primary key (department, source, minute)) with (fillfactor = 50);
insert into heard_1m select department, source, date_trunc('minute', known_at), known_at, watermark, committed_at from heard;

-- When each pulled source last answered, and last did not; now, and minute by minute.
create table asked (
  department text not null, source text not null, asked_at timestamptz, failed_at timestamptz, every_seconds double precision not null, news_at timestamptz,
  primary key (department, source)) with (fillfactor = 50);
create table asked_1m (
  department text not null, source text not null, minute timestamptz not null, asked_at timestamptz, failed_at timestamptz,
  every_seconds double precision not null, news_at timestamptz, primary key (department, source, minute)) with (fillfactor = 50);

-- heard_at: the last sign of life, news or an answer without news. answers: not when it has failed to answer for three seconds.
-- speaks_within: how soon a source that is asked gives the next sign (null: it speaks by itself).
-- whole_at: when it had nothing that is not here (null: something is on its way).
create or replace view {board}.freshness as
  select department, source, h.known_at, h.watermark, h.committed_at, greatest(h.known_at, a.asked_at) as heard_at, a.asked_at, a.failed_at, a.every_seconds,
    coalesce(a.failed_at <= greatest(h.known_at, a.asked_at) + interval '3 seconds', true) as answers,
    case when a.asked_at is not null then greatest(8.5, 3 * a.every_seconds) * interval '1 second' end as speaks_within,
    case when a.news_at is null or a.news_at <= h.known_at then a.asked_at end as whole_at
  from {space}.heard h left join {space}.asked a using (department, source);
-- Committed events whose figures still have to follow.
create view {board}.behind as
  select b.department, sum(b.events)::bigint as events, min(b.committed_at) as since from {space}.owed o join {space}.batch b using (batch) group by 1;

-- Found before pg_catalog's own by those who read the past, so that a board's SQL means the same then.
create function {board_at}.now() returns timestamptz language sql stable as 'select current_setting(''ioc.at'')::timestamptz';

create view {board_at}.quarantine as
  select department, source, cause, date_trunc('hour', known_at) as hour, count(*) as n from {space}.quarantine
  where known_at < {board_at}.now() group by 1, 2, 3, 4;
create view {board_at}.unit as select code, name, kind, latitude, longitude, valid_from, valid_to from {board}.unit;
create view {board_at}.ledger as
  select source, department, hour, received, on_time, late, duplicate, conflict, quarantined from {space}.ledger where hour < date_trunc('hour', {board_at}.now())
  union all
  select source, department, date_trunc('hour', minute), sum(received)::bigint, sum(on_time)::bigint, sum(late)::bigint, sum(duplicate)::bigint,
    sum(conflict)::bigint, sum(quarantined)::bigint
  from {space}.ledger_1m where minute >= date_trunc('hour', {board_at}.now()) and minute < {board_at}.now() group by 1, 2, 3;
create view {board_at}.freshness as
  select department, source, h.known_at, h.watermark, h.committed_at, greatest(h.known_at, a.asked_at) as heard_at, a.asked_at, a.failed_at, a.every_seconds,
    coalesce(a.failed_at <= greatest(h.known_at, a.asked_at) + interval '3 seconds', true) as answers,
    case when a.asked_at is not null then greatest(8.5, 3 * a.every_seconds) * interval '1 second' end as speaks_within,
    case when a.news_at is null or a.news_at <= h.known_at then a.asked_at end as whole_at
  from (select department, source, max(known_at) as known_at, max(watermark) as watermark, max(committed_at) as committed_at
    from {space}.heard_1m where minute < {board_at}.now() group by 1, 2) h
  left join (select department, source, max(asked_at) as asked_at, max(failed_at) as failed_at, max(every_seconds) as every_seconds, max(news_at) as news_at
    from {space}.asked_1m where minute < {board_at}.now() group by 1, 2) a using (department, source);
create view {board_at}.behind as select department, events, since from {board}.behind where false;
create view {board_at}.batch as
  select department, events, first_time, last_time, committed_at, case when followed_at < {board_at}.now() then followed_at end as followed_at
  from {space}.batch where committed_at < {board_at}.now();
create view {board_at}.owed as select department, count(*) as batches from {board_at}.batch where followed_at is null group by 1;
