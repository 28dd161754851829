"""Where records stay: TimescaleDB, with its numbered migrations in sql/."""
