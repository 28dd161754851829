"""Broker, database and browser of this machine: real ones, without Docker and without root."""
