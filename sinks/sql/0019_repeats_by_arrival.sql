-- Replays ask hour by hour for what came again; over a month, ranges of pages held too many hours each.
drop index repeat_known_at;
create index repeat_known_at on repeat (department, known_at);
