-- Alert rules: what stands, what was decided, what rings. {board} and {space} are the schemas.

-- The rules that stand; every change of them, with who and why; `since`: the minute from which on this version decides.
create table rule (
  name text primary key, version int not null, body text not null, department text not null, enabled boolean not null default true,
  since timestamptz not null, changed_at timestamptz not null default clock_timestamp(), changed_by text not null);
create table rule_change (
  id bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(), who text not null,
  what text not null check (what in ('added', 'changed', 'removed', 'enabled', 'disabled')), rule text not null, version int not null,
  body text not null, why text not null default '');

-- Minutes whose figures or signs of life changed since the rules looked at them (a dirty log, written while there are rules).
create table owed_minute (id bigint generated always as identity primary key, department text not null, minute timestamptz not null);
create index owed_minute_minute on owed_minute (minute);

-- The minute up to which (without it) each rule is decided.
create table judged (rule text primary key, version int not null, until timestamptz not null) with (fillfactor = 50);

-- Spans of minutes in which a rule fired for a group ('' is the whole department), or would have, were it not inhibited.
create table firing (
  id bigint generated always as identity primary key, rule text not null, version int not null, unit text not null, inhibited boolean not null,
  since timestamptz not null, until timestamptz, peak double precision, decided_at timestamptz not null default clock_timestamp(),
  withdrawn_at timestamptz, alarm bigint, told text check (told in ('fired', 'withdrawn'))) with (fillfactor = 70);
create index firing_rule on firing (rule, since) where withdrawn_at is null;
create index firing_open on firing (rule) where until is null and withdrawn_at is null;
create index firing_until on firing (until) where withdrawn_at is null;
create index firing_alarm on firing (alarm);
create index firing_withdrawn on firing (alarm) where withdrawn_at is not null and told = 'fired';

-- The state each group is in now, since when, and its last value.
create table standing (
  rule text not null, unit text not null, state text not null, since timestamptz not null, value double precision, primary key (rule, unit))
  with (fillfactor = 50);

-- What rings: the firings of one rule taken together, from the first to the last. told: what people were told last (of a firing: about it);
-- told_at: from when on they could know; said: how many messages there were.
create table alarm (
  id bigint generated always as identity primary key, rule text not null, version int not null, severity text not null, route text not null,
  title text not null, opened_at timestamptz not null default clock_timestamp(), closed_at timestamptz,
  told text check (told in ('firing', 'over', 'withdrawn', 'never')), told_at timestamptz, said int not null default 0,
  acknowledged_at timestamptz, acknowledged_by text, acknowledged_why text, escalated_at timestamptz) with (fillfactor = 70);
create unique index alarm_open on alarm (rule) where closed_at is null;
create index alarm_untold on alarm (rule) where told is null;
create index alarm_opened on alarm (opened_at);

-- Rules, or one group of one, that ring nobody for a while; null is any.
create table silence (
  id bigint generated always as identity primary key, rule text, unit text, since timestamptz not null default clock_timestamp(),
  until timestamptz not null, who text not null, why text not null, check (until > since));

-- Messages on their way. key: the same however often it is made or sent, so that a receiver can tell a repeat. held: until quiet hours end;
-- part_of: the one message that then carries several. tried_at: for the first time.
create table outbox (
  id bigint generated always as identity primary key, key text not null unique, alarm bigint, channel text not null, word text not null,
  message jsonb not null, made_at timestamptz not null default clock_timestamp(), due_at timestamptz not null default clock_timestamp(),
  tries int not null default 0, state text not null default 'waiting' check (state in ('waiting', 'held', 'sent', 'muted', 'failed')),
  part_of bigint, tried_at timestamptz, sent_at timestamptz, wrong text) with (fillfactor = 70);
create index outbox_waiting on outbox (due_at, id) where state = 'waiting';
create index outbox_owed on outbox (alarm, channel, id) where state in ('waiting', 'held');
create index outbox_part on outbox (part_of) where part_of is not null;

-- What really happened, as people label it: what precision and recall of a rule are measured by.
create table incident (
  id bigint generated always as identity primary key, department text not null, unit text not null default '', since timestamptz not null,
  until timestamptz not null, what text not null, who text not null, added_at timestamptz not null default clock_timestamp(), check (until > since));

-- When the evaluator and the deliverer last finished a round: what a dead-man's switch looks at.
create table beat (name text primary key, at timestamptz not null, round bigint not null default 0) with (fillfactor = 50);

create view {board}.ledger_1m as
  select department, source, minute, received, on_time, late, duplicate, conflict, quarantined from {space}.ledger_1m;
-- Signs of life, news and answers without news: of a source and minute one each at most, the last.
create view {board}.sign as
  select department, source, minute, known_at as at from {space}.heard_1m
  union all select department, source, minute, asked_at from {space}.asked_1m where asked_at is not null;
-- The sources ever heard, since when, until when, and for how many seconds each may be silent if it said so itself.
create view {board}.source as
  select department, source, extract(epoch from f.speaks_within)::float8 as speaks_within, coalesce(least(
    (select min(minute) from {space}.heard_1m h where h.department = f.department and h.source = f.source),
    (select min(minute) from {space}.asked_1m a where a.department = f.department and a.source = f.source and a.asked_at is not null)), f.known_at) as since,
    f.heard_at as until
  from {board}.freshness f;
create view {board}.rule as select name, version, body, department, enabled, since, changed_at, changed_by from {space}.rule;
create view {board}.rule_change as select id, at, who, what, rule, version, why from {space}.rule_change;
create view {board}.firing as
  select id, rule, version, nullif(unit, '') as unit, inhibited, since, until, peak, decided_at, alarm from {space}.firing where withdrawn_at is null;
create view {board}.standing as select rule, nullif(unit, '') as unit, state, since, value from {space}.standing;
create view {board}.alarm as
  select id, rule, version, severity, route, title, opened_at, closed_at, acknowledged_at, acknowledged_by, acknowledged_why, escalated_at from {space}.alarm;
create view {board}.silence as select id, rule, unit, since, until, who, why from {space}.silence;
create view {board}.outbox as select id, alarm, channel, word, made_at, due_at, tries, state, sent_at, wrong from {space}.outbox;
create view {board}.incident as select id, department, nullif(unit, '') as unit, since, until, what, who from {space}.incident;
create view {board}.beat as select name, at from {space}.beat;

create view {board_at}.rule as select * from {board}.rule where changed_at < {board_at}.now();
-- The peak of what had not ended then is not known any more.
create view {board_at}.firing as
  select id, rule, version, unit, inhibited, since, case when until < {board_at}.now() then until end as until,
    case when until < {board_at}.now() then peak end as peak, decided_at, alarm
  from {board}.firing where decided_at < {board_at}.now();
create view {board_at}.alarm as
  select id, rule, version, severity, route, title, opened_at, case when closed_at < {board_at}.now() then closed_at end as closed_at,
    case when acknowledged_at < {board_at}.now() then acknowledged_at end as acknowledged_at,
    case when acknowledged_at < {board_at}.now() then acknowledged_by end as acknowledged_by,
    case when acknowledged_at < {board_at}.now() then acknowledged_why end as acknowledged_why,
    case when escalated_at < {board_at}.now() then escalated_at end as escalated_at
  from {board}.alarm where opened_at < {board_at}.now();
create view {board_at}.silence as select * from {board}.silence where since < {board_at}.now();
-- Only the last beat is kept: what beat later is taken to have beaten then.
create view {board_at}.beat as select name, least(at, {board_at}.now()) as at from {board}.beat;
