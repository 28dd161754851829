-- Units with their level, the unit above them and their area; and what became of those that ended. from_file: an operator's file says so, and what
-- comes with the program no longer touches that code.
alter table unit add column level text, add column parent text, add column area_km2 double precision, add column from_file boolean not null default false;
create table succession (
  kind text not null, code text not null, ended date not null, successor text not null, whole boolean not null, main boolean not null,
  share double precision, primary key (kind, code, ended, successor));

-- A seller registered in a commune that was divided is placed where that commune's centre lies: an estimate.
alter table seller add column estimated boolean not null default false;
alter table seller_was add column estimated boolean not null default false;
create index seller_estimated on seller (unit) where estimated;
create index seller_was_estimated on seller_was (loaded_at) where estimated;

-- `unit`: those that stand; `unit_ever`: of all times.
create view {board}.unit_ever as
  select code, name, kind, latitude, longitude, valid_from, valid_to, level, parent, area_km2 from {space}.unit;
create view {board_at}.unit_ever as
  select code, name, kind, latitude, longitude, valid_from, valid_to, level, parent, area_km2 from {space}.unit;
create or replace view {board}.unit as
  select * from {board}.unit_ever where (now() at time zone 'Asia/Ho_Chi_Minh')::date between valid_from and coalesce(valid_to, 'infinity');
create or replace view {board_at}.unit as
  select * from {board}.unit_ever where ({board_at}.now() at time zone 'Asia/Ho_Chi_Minh')::date between valid_from and coalesce(valid_to, 'infinity');
-- Units whose figures rest in part on sellers placed by estimate.
create view {board}.estimated as select distinct unit as code from {space}.seller where estimated;
create view {board_at}.estimated as
  select distinct unit as code from {space}.seller_was s where estimated and loaded_at < {board_at}.now()
    and not exists (select from {space}.seller_was n where n.seller = s.seller and n.loaded_at > s.loaded_at and n.loaded_at < {board_at}.now());
