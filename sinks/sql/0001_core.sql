-- The tables of a space that every department shares. Runs with search_path set to the space's schema.

-- How far each partition is committed. Keyed by topic id, not name: a recreated topic begins at 0 again.
create table stream_offset (
  topic_id uuid not null, partition int not null, topic text not null, next_offset bigint not null,
  primary key (topic_id, partition)) with (fillfactor = 50);

-- One row per committed batch and department; `owed` are those whose figures still have to follow (the dirty log).
create table batch (
  batch bigint generated always as identity primary key, department text not null, events int not null,
  first_time timestamptz not null, last_time timestamptz not null,
  committed_at timestamptz not null default clock_timestamp(), followed_at timestamptz) with (fillfactor = 80);
create table owed (department text not null, batch bigint not null);

-- Conservation of events by source and hour of arrival: received = on time + late + duplicate + conflict + quarantined.
create table ledger (
  department text not null, source text not null, hour timestamptz not null,
  received bigint not null, on_time bigint not null, late bigint not null, duplicate bigint not null,
  conflict bigint not null, quarantined bigint not null,
  primary key (hour, department, source)) with (fillfactor = 50);

-- What each source last said.
create table heard (
  department text not null, source text not null, known_at timestamptz not null, watermark timestamptz not null,
  committed_at timestamptz not null, primary key (department, source)) with (fillfactor = 50);

-- Records that could not be understood: sealed, with cause. `held` until somebody retries or drops them.
create table quarantine (
  id uuid primary key, department text not null, source text not null, known_at timestamptz not null, cause text not null,
  wrong text not null, sealed text not null, size_bytes int not null, state text not null default 'held'
  check (state in ('held', 'retried', 'dropped')));
create index quarantine_known_at on quarantine (department, cause, known_at);

-- Same id, other body: the second one is kept here, never instead of the first.
create table conflict (
  department text not null, id uuid not null, body bigint not null, source text not null, known_at timestamptz not null,
  event text not null, primary key (department, id, body));

-- Communes, hospitals, agencies, with the time they are valid in.
create table unit (
  code text not null, name text not null, kind text not null, latitude double precision, longitude double precision,
  valid_from date not null, valid_to date, primary key (code, kind, valid_from));

-- The commune where a seller (pseudonym of its MST) is registered.
create table seller (seller uuid primary key, unit text not null, loaded_at timestamptz not null default clock_timestamp());
create index seller_loaded_at on seller (loaded_at);
