-- What readers see of the shared tables. {board} and {space} are the schemas, put in as quoted identifiers.
create view {board}.ledger as
  select source, department, hour, received, on_time, late, duplicate, conflict, quarantined from {space}.ledger;
create view {board}.quarantine as
  select department, source, cause, date_trunc('hour', known_at) as hour, count(*) as n from {space}.quarantine group by 1, 2, 3, 4;
create view {board}.freshness as
  select department, source, known_at, watermark, committed_at from {space}.heard;
create view {board}.unit as
  select code, name, kind, latitude, longitude, valid_from, valid_to from {space}.unit;
