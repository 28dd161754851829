-- Every record that came again (same id, same body), so that a replay can relive the arrivals of a day with its duplicates. Rejects too: id of the
-- quarantined record, department as there.
create table repeat (department text not null, id uuid not null, rejected boolean not null, source text not null, known_at timestamptz not null);
create index repeat_known_at on repeat using brin (known_at);
create index conflict_known_at on conflict (known_at);
create index quarantine_arrived on quarantine (known_at);
