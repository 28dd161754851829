-- How far each chain of the archive was written when last seen to be whole: so that one cut short or written anew is found out.
-- dropped_before: events older than that may be in the archive only; dropped: how many are.
create table archived (
  chain text primary key, lines int not null, head text not null, dropped_before timestamptz, dropped bigint not null default 0,
  written_at timestamptz not null default clock_timestamp());
