-- How far the figures reach, minute of arrival by minute: the newest record in them, and when it got there. {board} and {space} are the schemas.
create table followed (
  department text not null, minute timestamptz not null, known_at timestamptz not null, followed_at timestamptz not null,
  primary key (department, minute)) with (fillfactor = 50);
insert into followed select department, date_trunc('minute', max(known_at)), max(known_at), max(committed_at) from heard group by 1;

create view {board}.followed as
  select f.department, f.known_at, f.followed_at from (select distinct department from {space}.heard) d
  cross join lateral (select * from {space}.followed f where f.department = d.department order by minute desc limit 1) f;
create view {board_at}.followed as
  select f.department, f.known_at, f.followed_at from (select distinct department from {space}.heard) d
  cross join lateral (select * from {space}.followed f where f.department = d.department and minute < {board_at}.now() order by minute desc limit 1) f;
