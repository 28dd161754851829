-- What names under a newer key are called here: the older name, which every table goes on using. Both are pseudonyms (or a body's hash).
create table alias (newer bytea primary key, older bytea not null);

-- Same cause at the same place in the format: the sentence names places and never values; numbers (of a line, of bytes) differ from record to record.
alter table quarantine add column fingerprint text not null
  generated always as (left(md5(department || '|' || cause || '|' || regexp_replace(wrong, '\d+', '#', 'g')), 8)) stored;
create index quarantine_fingerprint on quarantine (fingerprint) where state = 'held';
-- sending: its events are on their way to Kafka, or were when whoever sent them ended.
alter table quarantine drop constraint quarantine_state_check;
alter table quarantine add constraint quarantine_state_check check (state in ('held', 'sending', 'retried', 'dropped'));
create index quarantine_sending on quarantine (id) where state = 'sending';
-- repaired: the name of the rule by which its events were made; null where today's parsers understood it as it came.
alter table quarantine add column repaired text;
-- events: ids of the events that it became: on their way (sending), arrived (retried), or arrived of several while the others did not (held).
alter table quarantine add column events uuid[];

-- Who opened, repaired, tried again or gave up what was set aside, why, and what came of it. Nothing here is ever changed or deleted.
create table quarantine_audit (
  at timestamptz not null default clock_timestamp(), who text not null, what text not null check (what in ('show', 'fix', 'try', 'retry', 'drop')),
  record uuid, records int not null, why text, result text not null);

-- When the fuse of a source last blew and was last reset, as its door said.
create table fuse (
  department text not null, source text not null, blown_at timestamptz, reset_at timestamptz, primary key (department, source));
create view {board}.fuse as
  select department, source, blown_at from {space}.fuse where blown_at > coalesce(reset_at, '-infinity');
create view {board_at}.fuse as
  select department, source, blown_at from {space}.fuse
  where blown_at < {board_at}.now() and (coalesce(reset_at, '-infinity') < blown_at or reset_at >= {board_at}.now());
