-- What operators see of the work itself: committed batches and what is still owed. {board} and {space} are the schemas.
create index batch_committed_at on {space}.batch using brin (committed_at) with (pages_per_range = 8, autosummarize = on);
create view {board}.batch as
  select department, events, first_time, last_time, committed_at, followed_at from {space}.batch;
create view {board}.owed as
  select department, count(*) as batches from {space}.owed group by 1;
