-- A second body that came again: whose body it was (of a conflict); null where it was the first's.
alter table repeat add column body bigint;
