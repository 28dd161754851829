-- What is planned for a year of a department's figure. {board} and {space} are the schemas.
create table plan (
  department text not null, figure text not null, year int not null check (year between 2000 and 2200), value bigint not null check (value > 0),
  primary key (department, figure, year));
create view {board}.plan as select department, figure, year, value from {space}.plan;
create view {board_at}.plan as select department, figure, year, value from {board}.plan;
