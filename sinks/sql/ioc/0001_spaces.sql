-- What spaces there are beside `live`, and the replay that fills each. Shared by all spaces; read by whoever shows them.

-- kept: never cleaned up. most_rows, most_bytes, most_hours: what it may hold, and for how long it stays after its last use.
create table ioc.space (
  name text primary key, label text not null default '', made_at timestamptz not null default clock_timestamp(), made_by text not null,
  used_at timestamptz not null default clock_timestamp(), kept boolean not null default false,
  most_rows bigint not null, most_bytes bigint not null, most_hours int not null);

-- What is asked of a replay (wanted, speed, seek_to: written by people, at any time) and how it stands (all else: written by its player).
-- since, until: the period; follows: the time it is ordered by. speed: times real time, null as fast as it goes. scenario: the changes laid over
-- history (YAML), null where there are none. clock: the replay's own time at clock_set_at; it goes on at clock_rate (0: it stands).
-- followed: up to there everything is in the figures. mark: where to go on after a death. beat_at: the player's last sign of life.
create table ioc.replay (
  space text primary key references ioc.space on delete cascade,
  since timestamptz not null, until timestamptz not null, follows text not null check (follows in ('event_time', 'known_at')),
  departments text[] not null, units text[], scenario text,
  wanted text not null default 'play' check (wanted in ('play', 'pause', 'stop')), speed double precision check (speed > 0), seek_to timestamptz,
  state text not null default 'starting' check (state in ('starting', 'playing', 'catching up', 'paused', 'done', 'stopped', 'failed')),
  clock timestamptz not null, clock_set_at timestamptz not null default clock_timestamp(), clock_rate double precision not null default 0,
  followed timestamptz not null, total bigint not null default 0, produced bigint not null default 0, rate double precision not null default 0,
  mark jsonb not null default '{}', begun_at timestamptz not null default clock_timestamp(), begun_by text not null,
  ended_at timestamptz, beat_at timestamptz, wrong text, check (until > since)) with (fillfactor = 50);

-- The replay's time now, null where a space has no replay. A player sets its clock several times a second: that of a dead one stands.
create function ioc.replayed(space text) returns timestamptz language sql stable as
  'select least(until, clock + least(clock_timestamp() - clock_set_at, interval ''10 seconds'') * clock_rate) from ioc.replay r where r.space = $1';

-- Whether this session is the one player of a space, until it ends.
create function ioc.try_play(space text) returns boolean language sql volatile security definer set search_path = pg_catalog, pg_temp as
  'select pg_try_advisory_lock(7244, hashtext($1))';
revoke execute on function ioc.try_play(text) from public;
