-- Units with their level, the unit above them and their area; and what became of those that ended. from_file: an operator's file says so, and what
-- comes with the program no longer touches that code.
alter table unit add column level text, add column parent text, add column area_km2 double precision, add column from_file boolean not null default false;
create table succession (
  kind text not null, code text not null, ended date not null, successor text not null, whole boolean not null, main boolean not null,
  share double precision, primary key (kind, code, ended, successor));

-- A seller registered in a commune that was divided is placed where that commune's centre lies: an estimate.
alter table seller add column estimated boolean not null default false;
alter table seller_was add column estimated boolean not null default false;

create or replace view {board}.unit as
  select code, name, kind, latitude, longitude, valid_from, valid_to, level, parent, area_km2 from {space}.unit;
create or replace view {board_at}.unit as
  select code, name, kind, latitude, longitude, valid_from, valid_to, level, parent, area_km2 from {board}.unit;
-- Units whose figures rest in part on sellers placed by estimate.
create view {board}.estimated as select distinct unit as code from {space}.seller where estimated;
create view {board_at}.estimated as select distinct unit as code from (
  select distinct on (seller) unit, estimated from {space}.seller_was where loaded_at < {board_at}.now() order by seller, loaded_at desc) s where estimated;
